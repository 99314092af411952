/**
 * What a route means where the file says nothing: its kind, its time limits, and the routes at the end of a list.
 */

import { Status } from '../core/outcome/status.js';
import { areReadOnly, isKnownUnary, KNOWN_UNARY } from '../core/routing/method.js';
import { isCovered } from './methods.js';
import type { RetryConfig, RouteConfig } from './model.js';

/** Long enough for a slow model on a busy machine, short enough that a caller without a deadline is not lost. */
export const UNARY_TIMEOUT_MS = 15_000;
/** Envoy's stream idle timeout: longer than the pauses of a living stream. */
export const STREAM_IDLE_TIMEOUT_MS = 300_000;

export type RouteKind = RouteConfig['kind'];

/** Unary only when every method is known to be. */
export function defaultKind(methods: readonly string[]): RouteKind {
  return methods.length > 0 && methods.every(isKnownUnary) ? 'unary' : 'streaming';
}

export function defaultTimeoutMs(kind: RouteKind): number {
  return kind === 'unary' ? UNARY_TIMEOUT_MS : 0;
}

export function defaultIdleTimeoutMs(kind: RouteKind): number {
  return kind === 'unary' ? 0 : STREAM_IDLE_TIMEOUT_MS;
}

/**
 * What questions that only read are worth when nothing is said about it: one more try at each of two other replicas. No
 * limit of an attempt: a model answers them between its runs, and one that is busy has not failed.
 */
export const READ_ONLY_RETRY: RetryConfig = {
  attempts: 3,
  on: [Status.UNAVAILABLE],
  backoff: { baseMs: 25, maxMs: 250 },
};

/**
 * Makes the last route match every method: unless one of them does, the known unary methods that none of them
 * matches follow with the unary defaults, and then everything else as streams. Outbound, those that only read are
 * idempotent and tried again.
 */
export function completeRoutes(
  routes: readonly RouteConfig[],
  side: 'inbound' | 'outbound' = 'outbound',
): RouteConfig[] {
  const patterns = routes.flatMap((route) => route.methods);
  if (patterns.includes('*')) return [...routes];
  const unary = [...KNOWN_UNARY].filter((method) => !patterns.some((pattern) => isCovered(method, pattern)));
  const isCareful = (method: string): boolean => side === 'outbound' && areReadOnly([method]);
  const [reading, others] = [unary.filter(isCareful), unary.filter((method) => !isCareful(method))];
  return [
    ...routes,
    ...(reading.length === 0
      ? []
      : [{ ...plainRoute(reading, 'unary'), idempotent: true, retry: READ_ONLY_RETRY }]),
    ...(others.length === 0 ? [] : [plainRoute(others, 'unary')]),
    plainRoute(['*'], 'streaming'),
  ];
}

function plainRoute(methods: readonly string[], kind: RouteKind): RouteConfig {
  return {
    methods,
    kind,
    idempotent: false,
    timeoutMs: defaultTimeoutMs(kind),
    idleTimeoutMs: defaultIdleTimeoutMs(kind),
    attemptTimeoutMs: 0,
  };
}
