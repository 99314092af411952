/**
 * Whether the answers of a method have one message: noted from streams of methods that are not described, at no cost but a comparison at
 * their end. What follows from it is decided in core/routing/method-kinds.ts.
 */

import { Status } from '../../core/outcome/status.js';
import type { MethodKinds } from '../../core/routing/method-kinds.js';
import { headerViewOf } from '../../http2/header-view.js';
import { MessageWatch } from '../../relay/call.js';
import type { OutboundAttempt, OutboundCall } from '../call.js';
import { countPace } from './pace.js';

/** The first message is complete. Of a method that has had one so far, each further message is noticed as it comes. */
export function watchFirstMessage(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
  const counter = attempt.counter!;
  if (counter.messages === 1 && counter.isBetween) attempt.firstMessageBytes = attempt.stream!.receivedBytes;
  if (call.plan.watch === MessageWatch.single && !counter.goesOn) countPace(attempt, nowMs);
}

/** An attempt has succeeded: its answer had one message, or it shows that the method is a stream. */
export function recordAnswer(kinds: MethodKinds, call: OutboundCall, attempt: OutboundAttempt): void {
  // One that went on for another repeats only the rest.
  if (attempt.status !== Status.OK || call.resumable !== null) return;
  const { path } = headerViewOf(call.original);
  const isSingle =
    attempt.firstMessageBytes > 0 && attempt.firstMessageBytes === attempt.stream!.receivedBytes;
  if (isSingle) kinds.recordSingle(path);
  else kinds.recordStream(path);
}
