import { REPLICAS } from '../arms/arm.js';
import { WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

/** A run without a sign of life in between, well within its deadline. */
const RUN_MS = 6_000;

/**
 * Nothing is wrong, and it looks as if: a model that thinks for long answers nothing meanwhile. What ends such runs, restarts such a
 * process or takes such an endpoint out does harm, and its figures show it.
 */
export const longRun: Drill = {
  name: 'long-run',
  title: 'Runs take many seconds, as they may',
  does: 'Every job takes 6 s in the place of 0.4 s, at all three replicas and under a deadline of 15 s, for 6 s: nothing is to be done about it.',
  set: 'full',
  isHarmless: true,
  // Four jobs at each replica at a time: half of what it does at once.
  rates: { digits: 60, long: 2, stream: 3 },
  deadlines: { long: 15_000 },
  times: { faultMs: 6_000, healedMs: 6_000 },
  begin: async ({ control }) =>
    void (await Promise.all(
      REPLICAS.map((replica) => control.behave(replica, { does: 'labour', ms: RUN_MS })),
    )),
  end: async ({ control }) =>
    void (await Promise.all(REPLICAS.map((replica) => control.behave(replica, WELL)))),
};
