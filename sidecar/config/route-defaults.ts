/**
 * What a route means where the file says nothing: its kind, its time limits, and the routes at the end of a list.
 */

import { Status } from '../core/outcome/status.js';
import { KNOWN_UNARY } from '../core/routing/method.js';

/** Long enough for a slow model on a busy machine, short enough that a caller without a deadline is not lost. */
const UNARY_TIMEOUT_MS = 15_000;
/** Envoy's stream idle timeout: longer than the pauses of a living stream. */
const STREAM_IDLE_TIMEOUT_MS = 300_000;

/** Bytes of a unary answer that are held until its status is known. */
export const HOLD_BYTES = 64 * 1024;
/** Bytes of a longer answer that are kept beside passing it on: the largest message that gRPC lets through by default. */
export const SAMPLE_BYTES = 4 * 1024 * 1024;

/** Whether one message answers one message; `auto`: each method as its service describes it, else as a stream. */
export type RouteKind = 'unary' | 'streaming' | 'auto';

/** The times of methods of a route `auto` that turn out to be unary, ms; 0 = none. */
export interface UnaryTimes {
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** Unary only when every method is known to be. */
export function defaultKind(methods: readonly string[]): RouteKind {
  return methods.length > 0 && methods.every((method) => KNOWN_UNARY.has(method)) ? 'unary' : 'auto';
}

/** 15 s for unary calls, none (0) for streams. */
export function defaultTimeoutMs(kind: RouteKind): number {
  return kind === 'unary' ? UNARY_TIMEOUT_MS : 0;
}

/** None (0) for unary calls, 5 min for streams. */
export function defaultIdleTimeoutMs(kind: RouteKind): number {
  return kind === 'unary' ? 0 : STREAM_IDLE_TIMEOUT_MS;
}

/**
 * What questions that only read are worth when nothing is said about it: one more try at each of two other replicas. No
 * limit of an attempt: a model answers them between its runs, and one that is busy has not failed.
 */
export const READ_ONLY_RETRY = {
  attempts: 3,
  on: [Status.UNAVAILABLE] as readonly number[],
  backoff: { baseMs: 25, maxMs: 250 },
};
