/** Drills of language-model engines: the model process answers the gRPC of vLLM, and answers are half there when it fails. */

import { WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';
import { untilBack } from './processes.js';

/** Long enough that it is known how long an engine is usually silent: twenty answers at each, also at one that chance gives few. */
const LEARN_MS = 12_000;
const RATES = { digits: 10, long: 1, stream: 0, tokens: 9 } as const;
/** Between two deaths: the process is back, and answers have begun there. */
const REST_MS = 2_000;

/** Half of an answer is there: only one that another engine continues after the tokens is right in the end. */
export const engineKilled: Drill = {
  name: 'engine-killed',
  title: 'A language-model engine is killed in the middle of its answers',
  does: 'SIGKILL to the model process of one replica of three, twice, while it sends answers of 60 tokens that take 1.2 s each, of which nine a second begin.',
  set: 'full',
  rates: RATES,
  times: { steadyMs: 3_000 },
  begin: async ({ control, victim, sleep, mark }) => {
    const pid = control.signal(victim, 'SIGKILL');
    await untilBack({ control, sleep }, victim, pid);
    await sleep(REST_MS);
    mark('fault-began', 'the same process again', victim);
    control.signal(victim, 'SIGKILL');
  },
};

/** No connection breaks, and health says SERVING: only tokens that do not come show it. */
export const engineFrozen: Drill = {
  name: 'engine-frozen',
  title: 'The core of a language-model engine freezes',
  does: 'The engine of one replica of three makes no token for 8 s, in the middle of answers of 60 tokens that take 1.2 s each, of which nine a second begin and have 4 s each, while its health stays SERVING and its other calls are answered.',
  set: 'full',
  rates: RATES,
  // Its callers do not wait until it is well again.
  deadlines: { tokens: 4_000 },
  times: { steadyMs: LEARN_MS, faultMs: 8_000, healedMs: 5_000 },
  begin: ({ control, victim }) => control.behave(victim, { does: 'freeze-core' }),
  end: ({ control, victim }) => control.behave(victim, WELL),
};
