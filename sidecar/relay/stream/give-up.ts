import type { Attempt } from '../attempt.js';
import type { Call } from '../call.js';
import { givenUp } from './engine-call.js';

/** A `finish_reason` that no Abort makes. */
export const FAILED = 'error';

/**
 * The engine gives the answer up, by a message that begins at `start`. It has failed if it says so, or gives others up as well. Else an Abort may have
 * come to it another way: that is judged when the attempt is over, and until then the rest is held. @param finish its `finish_reason`
 */
export function giveUp(
  { call, attempt, finish }: { readonly call: Call; readonly attempt: Attempt; readonly finish: string },
  buffer: Buffer,
  start: number,
  end: number,
): void {
  const { engineCall, context, hedge } = call;
  const { silence } = attempt;
  const { nowMs } = context;
  if (finish !== FAILED) silence?.givenUp.record(engineCall!.hasKnownId, nowMs);
  attempt.isEngineStopping = finish !== FAILED && silence?.givenUp.areSeveral(nowMs) === true;
  if (finish === FAILED || hedge !== null || silence === null || attempt.isEngineStopping)
    return attempt.fail(givenUp(finish));
  engineCall!.beginHold(context.memory.waiting, nowMs, givenUp(finish));
  engineCall!.holdMore(buffer, start, end);
}
