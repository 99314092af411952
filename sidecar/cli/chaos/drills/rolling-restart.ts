import { REPLICAS } from '../arms/arm.js';
import type { Drill, Stage } from './drill.js';

const LIMIT_MS = 8_000;
const POLL_MS = 50;
/** Between two replicas: callers learn that the last one is back. */
const REST_MS = 500;

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
      await sleep(REST_MS);
    }
  },
};

/** Resolves when a replica serves with another process than `pid`; at the latest after 8 s. */
export async function untilBack(
  { control, sleep }: Pick<Stage, 'control' | 'sleep'>,
  replica: number,
  pid: number | undefined,
): Promise<void> {
  for (let waitedMs = 0; waitedMs < LIMIT_MS; waitedMs += POLL_MS) {
    await sleep(POLL_MS);
    if (control.pidOf(replica) !== pid && control.ready.includes(replica)) return;
  }
}
