/** The drills of the decisions: replicas, networks, loads and clients that misbehave, without a registry. */

import { CALL_POLICY_ROWS } from './call-policies.js';
import { CLIENT_ROWS } from './clients.js';
import { suiteOf } from './drill.js';
import { HELD_PAYLOAD_ROWS } from './held-payload.js';
import { MEMORY_ROWS } from './memory.js';
import { ISOLATION_ROWS } from './model-isolation.js';
import { NETWORK_ROWS } from './network.js';
import { OUTLIER_ROWS } from './outlier-detection.js';
import { OVERLOAD_ROWS } from './overload.js';
import { REPLICA_ROWS } from './replicas.js';
import { RESTART_ROWS } from './restarts.js';
import { SUPERVISION_ROWS } from './supervision.js';

export const decisionFaults = suiteOf({
  name: 'decisions',
  title: 'faults of models, networks and callers',
  rows: [
    ...REPLICA_ROWS,
    ...RESTART_ROWS,
    ...SUPERVISION_ROWS,
    ...OUTLIER_ROWS,
    ...NETWORK_ROWS,
    ...OVERLOAD_ROWS,
    ...MEMORY_ROWS,
    ...HELD_PAYLOAD_ROWS,
    ...CALL_POLICY_ROWS,
    ...CLIENT_ROWS,
    ...ISOLATION_ROWS,
  ],
});
