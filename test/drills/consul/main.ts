/** The faults of Consul, and of what stands between it and a sidecar: none of them may cost a call. */

import type { Suite } from '../faults/row.js';
import { badResponses } from './agent-responses.js';
import { agentForgets, agentKilled, leaderKilled } from './agents.js';
import { leafExpired } from './expiry.js';
import { allCritical, allDeregistered, replicaDeregistered } from './foreign-instances.js';
import { leafRotation, rootRotation } from './identity.js';
import { intentionFlipped } from './intentions.js';
import { agentEmptied, catalogueEmptied } from './registry.js';
import { restartWithKeys, restartWithoutKeys } from './restarts.js';
import { ConsulWorld } from './world.js';

export const consulFaults: Suite<ConsulWorld> = {
  name: 'consul',
  title: 'Faults of Consul under 200 calls a second through two sidecars',
  rows: [
    agentKilled,
    agentForgets,
    leaderKilled,
    agentEmptied,
    catalogueEmptied,
    ...badResponses,
    replicaDeregistered,
    allCritical,
    allDeregistered,
    restartWithKeys,
    restartWithoutKeys,
    leafRotation,
    rootRotation,
    leafExpired,
    intentionFlipped,
  ],
  open: (logs) => ConsulWorld.open(logs),
  close: (world) => world.close(),
};
