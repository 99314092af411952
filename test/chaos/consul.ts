/** The faults of Consul, and of what stands between it and a sidecar: none of them may cost a call. */

import { agentForgets, agentKilled, leaderKilled } from './consul-agents.js';
import { spoiledAnswers } from './consul-answers.js';
import { leafExpired } from './consul-expiry.js';
import { leafRotation, rootRotation } from './consul-identity.js';
import { intentionFlipped } from './consul-intentions.js';
import { agentEmptied, catalogueEmptied } from './consul-registry.js';
import { restartWithKeys, restartWithoutKeys } from './consul-restarts.js';
import { allCritical, replicaDeregistered, strangersEmptied } from './consul-strangers.js';
import { ConsulWorld } from './consul-world.js';
import type { Suite } from './faults-row.js';

export const consulFaults: Suite<ConsulWorld> = {
  name: 'consul',
  title: 'Faults of Consul under 200 calls a second through two sidecars',
  rows: [
    agentKilled,
    agentForgets,
    leaderKilled,
    agentEmptied,
    catalogueEmptied,
    ...spoiledAnswers,
    replicaDeregistered,
    allCritical,
    strangersEmptied,
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
