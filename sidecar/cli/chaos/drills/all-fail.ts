import { status } from '@grpc/grpc-js';
import { REPLICAS } from '../arms/arm.js';
import { WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

/**
 * Nothing can be saved while it lasts; what counts is that nothing holds it up afterwards: neither ejections of all replicas nor
 * retries that go on.
 */
export const allFail: Drill = {
  name: 'all-fail',
  title: 'Every replica fails, and then none',
  does: 'All three replicas answer every call with UNAVAILABLE, for 2 s.',
  set: 'full',
  times: { faultMs: 2_000, healedMs: 6_000 },
  begin: async ({ control }) => {
    const fail = { does: 'fail', code: status.UNAVAILABLE, form: 'early' } as const;
    await Promise.all(REPLICAS.map((replica) => control.behave(replica, fail)));
  },
  end: async ({ control }) =>
    void (await Promise.all(REPLICAS.map((replica) => control.behave(replica, WELL)))),
};
