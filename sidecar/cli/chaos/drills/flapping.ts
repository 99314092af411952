import { status } from '@grpc/grpc-js';
import { WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

const EVERY_MS = 500;
const TURNS = 6;

/**
 * Well whenever it is looked at, and broken whenever it is used: each recovery invites calls for the next failure, unless an
 * ejection lasts longer each time.
 */
export const flapping: Drill = {
  name: 'flapping',
  title: 'One replica fails and recovers in turn',
  does: 'One replica of three fails every call for 0.5 s and answers for 0.5 s, in turn, for 6 s.',
  set: 'full',
  times: { faultMs: 0 },
  begin: async ({ control, victim, sleep }) => {
    for (let i = 0; i < TURNS; i++) {
      await control.behave(victim, { does: 'fail', code: status.UNAVAILABLE, form: 'early' });
      await sleep(EVERY_MS);
      await control.behave(victim, WELL);
      await sleep(EVERY_MS);
    }
  },
  end: ({ control, victim }) => control.behave(victim, WELL),
};
