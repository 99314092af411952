/** Drills in which processes die, hang, or are started again as planned. */

import { REPLICAS } from '../arms/arm.js';
import { WELL } from '../protocol/behaviour.js';
import { behaveEverywhere } from './behaviours.js';
import type { Drill, Stage } from './drill.js';

/**
 * A process that is gone at once, with its calls in flight. Twice, because the second death finds a restarted process whose
 * connections are new, and a supervisor that waits longer.
 */
export const kill: Drill = {
  name: 'kill',
  title: 'One replica is killed',
  does: 'SIGKILL to the model process of one replica of three, twice, 2 s apart; whatever supervises it starts it again.',
  set: 'standard',
  begin: async ({ control, victim, sleep, mark }) => {
    control.signal(victim, 'SIGKILL');
    await sleep(2_000);
    mark('fault-began', 'the same process again', victim);
    control.signal(victim, 'SIGKILL');
  },
};

/**
 * A process that takes connections and calls, as the kernel does for it, and answers nothing: what a deadlock, a swapping host
 * or a stuck device looks like from outside. No connection breaks, so that only time shows it.
 */
export const freeze: Drill = {
  name: 'freeze',
  title: 'One replica hangs',
  does: 'SIGSTOP to the model process of one replica of three, and SIGCONT 4.5 s later.',
  set: 'standard',
  begin: async ({ control, victim }) => void control.signal(victim, 'SIGSTOP'),
  end: async ({ control, victim }) => void control.signal(victim, 'SIGCONT'),
};

/**
 * A bad file on one machine: the process runs until something restarts it, and never again after that.
 * Connections to its address are refused, or its sidecar says that the model is gone.
 */
export const corruptModel: Drill = {
  name: 'corrupt-model',
  title: 'One replica cannot load its model any more',
  does: 'The model process of one replica of three is killed, and each new one ends at its start as with a damaged file, for 4.5 s.',
  set: 'full',
  begin: async ({ control, victim }) => {
    await control.behave(victim, { does: 'refuse-to-start' });
    control.signal(victim, 'SIGKILL');
  },
  end: ({ control, victim }) => control.behave(victim, WELL),
};

const POISONED_CALLS = 6;
const POISON_EVERY_MS = 600;

/**
 * A request that kills what works on it: each retry takes another replica down, and a caller that repeats it does so again. Only
 * the other calls count.
 */
export const poison: Drill = {
  name: 'poison',
  title: 'A request kills the model that works on it',
  does: 'The same request, which crashes any model process that works on it, is sent six times within 3.6 s, each time with another id, and is retried as other calls are.',
  set: 'full',
  times: { faultMs: 500 },
  begin: async ({ control, load, sleep }) => {
    await behaveEverywhere(control, { does: 'choke' });
    for (let i = 0; i < POISONED_CALLS; i++) {
      load.sendFault('digits', 'poison');
      await sleep(POISON_EVERY_MS);
    }
  },
  end: ({ control }) => behaveEverywhere(control, WELL),
};

const BACK_LIMIT_MS = 8_000;
const BACK_POLL_MS = 50;
/** Between two replicas: callers learn that the last one is back. */
const REPLICA_REST_MS = 500;

/**
 * What happens at every new version of anything: nothing is broken, and nothing should be lost. With a mesh the sidecar of the
 * replica is told, and drains with its model; without one the model itself is told, and finishes what it has.
 */
export const rollingRestart: Drill = {
  name: 'rolling-restart',
  title: 'Every replica is restarted, one after the other',
  does: 'Each of the three replicas is stopped by SIGTERM, drains, is started again and serves, before the next one is.',
  set: 'standard',
  times: { faultMs: 500 },
  begin: async ({ control, standing, sleep, mark }) => {
    for (const replica of REPLICAS) {
      const before = control.pidOf(replica);
      mark('note', `replica-${replica} is told to restart`);
      await standing.restart(replica);
      await untilBack({ control, sleep }, replica, before);
      await sleep(REPLICA_REST_MS);
    }
  },
};

/** Resolves when a replica serves with another process than `pid`; at the latest after 8 s. */
export async function untilBack(
  { control, sleep }: Pick<Stage, 'control' | 'sleep'>,
  replica: number,
  pid: number | undefined,
): Promise<void> {
  for (let waitedMs = 0; waitedMs < BACK_LIMIT_MS; waitedMs += BACK_POLL_MS) {
    await sleep(BACK_POLL_MS);
    if (control.pidOf(replica) !== pid && control.ready.includes(replica)) return;
  }
}

const PROXY_RESTARTS = 3;
/** Between two restarts: calls are made through the new process alone. */
const PROXY_REST_MS = 1_000;

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
    for (let i = 1; i <= PROXY_RESTARTS; i++) {
      mark('note', `the proxy beside the clients is told to restart, time ${i} of ${PROXY_RESTARTS}`);
      await standing.restartProxy!('clients');
      await sleep(PROXY_REST_MS);
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
      await sleep(PROXY_REST_MS);
    }
  },
};
