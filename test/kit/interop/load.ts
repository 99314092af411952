/** Calls without a pause, to see what a change under way does to them. */

import { status } from '@grpc/grpc-js';
import { Knob } from '../service/test-service.js';
import { type Caller, metadataOf } from './client.js';

export type Load = ReturnType<typeof startLoad>;

/** `width` calls at a time, each of `delayMs` at the service. */
export function startLoad(caller: Caller, width: number, delayMs: number) {
  let good = 0;
  const failures: string[] = [];
  const waiting: { readonly at: number; go(): void }[] = [];
  let isOver = false;
  const metadata = metadataOf({ [Knob.delayMs]: String(delayMs) });
  const lane = async (): Promise<void> => {
    while (!isOver) {
      const reply = await caller.unary({ response_size: 100 }, metadata);
      if (reply.code === status.OK) good += 1;
      else failures.push(`${status[reply.code]}: ${reply.details}`);
      for (const one of waiting) if (one.at <= good + failures.length) one.go();
    }
  };
  const lanes = Array.from({ length: width }, lane);
  return {
    /** Ends it: how many calls went well, and how each other one failed. */
    async stop() {
      isOver = true;
      await Promise.all(lanes);
      return { good, failures };
    },
    /** Resolves when so many more calls have ended. */
    more(calls: number) {
      const at = good + failures.length + calls;
      return new Promise<void>((go) => waiting.push({ at, go }));
    },
  };
}
