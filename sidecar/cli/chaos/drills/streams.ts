import { WELL } from '../protocol/behaviour.js';
import { behaveEverywhere } from './behaviours.js';
import type { Drill } from './drill.js';
import { untilBack } from './processes.js';

/** Between two deaths: the process is back, and streams have begun there. */
const REST_MS = 2_000;

/**
 * Half of an answer is there: a new attempt would begin anew, and the caller has seen the beginning. Only a stream that goes on
 * elsewhere after the messages that arrived is right in the end.
 */
export const streamDiesLate: Drill = {
  name: 'stream-dies-late',
  title: 'A replica dies in the middle of its streams',
  does: 'SIGKILL to the model process of one replica of three, twice, while it sends streams that take 1 s each, of which nine a second begin.',
  set: 'standard',
  rates: { digits: 30, long: 2, stream: 9 },
  begin: async ({ control, victim, sleep }) => {
    control.signal(victim, 'SIGKILL');
    await sleep(REST_MS);
    control.signal(victim, 'SIGKILL');
  },
};

/** After the process is back: the caller's side sends streams there again. */
const BACK_MS = 1_500;
const EARLY_DEATHS = 3;

/**
 * Nothing of an answer is there: each arm that may try again can, as its caller has seen neither headers nor a message. Streams that
 * begin late, as they do behind a long prompt, are killed there most often.
 */
export const streamDiesEarly: Drill = {
  name: 'stream-dies-early',
  title: 'A replica dies before its streams begin',
  does: 'SIGKILL to the model process of one replica of three, three times, each 1.5 s after it serves, while streams wait there for 0.35 s until their first message, of which eight a second are asked for.',
  set: 'full',
  // Two replicas are enough for them: what is asked is no overload while one is away.
  rates: { digits: 30, long: 2, stream: 8 },
  times: { faultMs: 500 },
  begin: async ({ control, victim, sleep }) => {
    await behaveEverywhere(control, { does: 'ponder', ms: 350 });
    for (let i = 0; i < EARLY_DEATHS; i++) {
      await sleep(BACK_MS);
      const pid = control.signal(victim, 'SIGKILL');
      await untilBack({ control, sleep }, victim, pid);
    }
  },
  end: ({ control }) => behaveEverywhere(control, WELL),
};
