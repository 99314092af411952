/** When faults happen: most of them while a stream is answered, and at the replica that answers it. */
import type { Dice } from '../dice.js';
import type { CallPlan, FaultKind } from './plan.js';

/** The longest of so many is met. */
const NEXT_STREAMS = 4;

/** A stream that begins about then, and a moment while it is answered, in most cases: a fault seldom meets one by chance. */
export function inMidStream(
  dice: Dice,
  calls: readonly CallPlan[],
  aboutMs: number,
): { readonly call: number; readonly atMs: number } | undefined {
  if (!dice.chance(0.7)) return undefined;
  const streams = calls.filter((each) => each.atMs >= aboutMs && answerMs(each) >= 20).slice(0, NEXT_STREAMS);
  if (streams.length === 0) return undefined;
  const stream = streams.reduce((longest, each) => (answerMs(each) > answerMs(longest) ? each : longest));
  return { call: stream.id, atMs: stream.atMs + stream.serviceMs + dice.next() * answerMs(stream) };
}

/** What a replica does for a while, and not at one moment. */
export const LASTING: ReadonlySet<FaultKind> = new Set(['slow-model', 'failing-model']);
/** Faults that meet a stream at the replica that answers it. */
export const AT_STREAMS: ReadonlySet<FaultKind> = new Set([
  ...(['kill-model', 'freeze-model', 'kill-sidecar', 'freeze-sidecar'] as const),
  ...(['break-connection', 'stall-connection', 'partition'] as const),
]);

/** How long an answer takes that is read at once, ms. */
function answerMs({ tokens, response, responseGapMs }: CallPlan): number {
  return (tokens ?? response.length) * responseGapMs;
}
