/** Drills of what happens at every new version of a proxy: nothing is broken, and nothing should be lost. */

import { REPLICAS } from '../arms/arm.js';
import type { Drill } from './drill.js';
import { untilBack } from './rolling-restart.js';

const TIMES = 3;
/** Between two restarts: calls are made through the new process alone. */
const REST_MS = 1_000;

/**
 * The process that every call of these clients goes through is followed by another one. Outrider hands its sockets over, as
 * `outrider takeover` does; Envoy does a hot restart.
 */
export const callerRestart: Drill = {
  name: 'caller-restart',
  title: 'The proxy beside the clients is restarted',
  does: 'The proxy beside the clients is followed by a new process three times, by takeover (Outrider) or hot restart (Envoy), while calls are made.',
  set: 'full',
  needs: 'proxies',
  times: { faultMs: 500 },
  begin: async ({ standing, sleep, mark }) => {
    for (let i = 1; i <= TIMES; i++) {
      mark('note', `the proxy beside the clients is told to restart, time ${i} of ${TIMES}`);
      await standing.restartProxy!('clients');
      await sleep(REST_MS);
    }
  },
};

/** A sidecar that owns its model ends with it, so that both start again; Envoy and the models beside it are apart. */
export const sidecarRestart: Drill = {
  name: 'sidecar-restart',
  title: 'The proxies beside the replicas are restarted, one after the other',
  does: 'Each proxy beside a replica is restarted, before the next one is: Outrider drains and starts again together with the model that it owns, Envoy, one process for all three, does a hot restart each time.',
  set: 'full',
  needs: 'proxies',
  times: { faultMs: 500 },
  begin: async ({ control, standing, sleep, mark }) => {
    for (const replica of REPLICAS) {
      const before = control.pidOf(replica);
      mark('note', `the proxy beside replica-${replica} is told to restart`);
      await standing.restartProxy!(replica);
      if (standing.proxiesOwnModels) await untilBack({ control, sleep }, replica, before);
      await sleep(REST_MS);
    }
  },
};
