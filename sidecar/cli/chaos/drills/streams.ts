import type { Drill } from './drill.js';

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
