import { WELL } from '../protocol/behaviour.js';
import { behaveEverywhere } from './behaviours.js';
import type { Drill } from './drill.js';

const CALLS = 6;
const EVERY_MS = 600;

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
    for (let i = 0; i < CALLS; i++) {
      load.sendFault('digits', 'poison');
      await sleep(EVERY_MS);
    }
  },
  end: ({ control }) => behaveEverywhere(control, WELL),
};
