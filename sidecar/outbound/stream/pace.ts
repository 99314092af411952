import { type OutboundAttempt, type OutboundCall, PaceSample } from '../call.js';

/** A sample is of at least this time, ms, and so many messages. */
const SAMPLE_MS = 1_000;
const SAMPLE_MESSAGES = 10;

/** A stream whose request is complete has its first message: its pace may be measured. Of others it is the caller's, too. */
export function beginPace(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
  if (call.requestEnded && attempt.endpoint.pace.takes()) countPace(attempt, nowMs);
}

/** The messages of a stream are counted from now on. */
export function countPace(attempt: OutboundAttempt, nowMs: number): void {
  const counter = attempt.counter!;
  counter.goesOn = true;
  attempt.pace = new PaceSample(nowMs, counter.messages);
}

/** More messages of a counted stream are here. While its caller does not keep up, its pace is the caller's. */
export function recordPace(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
  const pace = attempt.pace!;
  const elapsedMs = nowMs - pace.sinceMs;
  const { messages } = attempt.counter!;
  const count = messages - pace.messages;
  if (elapsedMs < SAMPLE_MS || count < SAMPLE_MESSAGES) return;
  if (!call.session.connection.isBehind(call.stream)) attempt.endpoint.pace.record(count, elapsedMs);
  pace.sinceMs = nowMs;
  pace.messages = messages;
}
