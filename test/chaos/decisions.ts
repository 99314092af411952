/** The drills of the decisions: replicas, networks, loads and clients that misbehave, without a registry. */

import { CARE_ROWS } from './decisions-care.js';
import { CLIENT_ROWS } from './decisions-clients.js';
import type { DecisionWorld } from './decisions-drill.js';
import { HOARD_ROWS } from './decisions-hoard.js';
import { JUDGEMENT_ROWS } from './decisions-judgement.js';
import { MEMORY_ROWS } from './decisions-memory.js';
import { NEIGHBOUR_ROWS } from './decisions-neighbours.js';
import { NETWORK_ROWS } from './decisions-network.js';
import { PRESSURE_ROWS } from './decisions-pressure.js';
import { REPLICA_ROWS } from './decisions-replicas.js';
import { RESTART_ROWS } from './decisions-restarts.js';
import { SUPERVISION_ROWS } from './decisions-supervision.js';
import type { Suite } from './faults-row.js';

export const decisionFaults: Suite<DecisionWorld> = {
  name: 'decisions',
  title: 'faults of models, networks and callers',
  rows: [
    ...REPLICA_ROWS,
    ...RESTART_ROWS,
    ...SUPERVISION_ROWS,
    ...JUDGEMENT_ROWS,
    ...NETWORK_ROWS,
    ...PRESSURE_ROWS,
    ...MEMORY_ROWS,
    ...HOARD_ROWS,
    ...CARE_ROWS,
    ...CLIENT_ROWS,
    ...NEIGHBOUR_ROWS,
  ],
  open: async () => ({}),
  close: async () => {},
};
