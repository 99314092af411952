/** The drills of the decisions: replicas, networks, loads and clients that misbehave, without a registry. */

import type { Suite } from '../faults/row.js';
import { CARE_ROWS } from './call-policies.js';
import { CLIENT_ROWS } from './clients.js';
import type { DecisionWorld } from './drill.js';
import { HOARD_ROWS } from './held-payload.js';
import { JUDGEMENT_ROWS } from './outlier-detection.js';
import { MEMORY_ROWS } from './memory.js';
import { NEIGHBOUR_ROWS } from './model-isolation.js';
import { NETWORK_ROWS } from './network.js';
import { PRESSURE_ROWS } from './overload.js';
import { REPLICA_ROWS } from './replicas.js';
import { RESTART_ROWS } from './restarts.js';
import { SUPERVISION_ROWS } from './supervision.js';

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
