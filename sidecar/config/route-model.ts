/** What may be done with the calls of one route: time, further attempts, other places. Units as in model.ts. */

import type { OutcomeOverrides } from '../core/outcome/outcome.js';

export interface RouteConfig {
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly methods: readonly string[];
  /** Only unary methods get the default timeout and have their response held until its status is known. */
  readonly kind: 'unary' | 'streaming';
  readonly idempotent: boolean;
  /** Upper bound on a call; the caller's own deadline may be shorter. 0 = none. Default 15 s unary, 0 streaming. */
  readonly timeoutMs: number;
  /** A stream with no frame either way for this long is ended. 0 = none. Default 5 min streaming, 0 unary. */
  readonly idleTimeoutMs: number;
  /** Longest one attempt may take. 0 = none. */
  readonly attemptTimeoutMs: number;
  /** Longest deadline of its own that a caller is granted, streams included; at least `timeoutMs`. Absent or 0 = no bound. */
  readonly maxTimeoutMs?: number;
  /** Statuses of the service that count otherwise than usual. Absent: none. Never a success that `retry` would repeat. */
  readonly outcomes?: OutcomeOverrides;
  readonly retry?: RetryConfig;
  readonly hedge?: HedgeConfig;
  /** In this order, when the call failed after its retries or no endpoint could take it. Unary only; each at most once. */
  readonly fallback?: readonly FallbackConfig[];
  /** Where the calls go that the application makes to this upstream. Absent: all to the upstream itself. */
  readonly split?: SplitConfig;
  /** Unary only. */
  readonly mirror?: MirrorConfig;
}

/** A second copy of an idempotent unary call; the first answer wins, the other is reset. */
export interface HedgeConfig {
  /** The copy goes after this percentile of recent latencies; above 0.5, at most 0.999. */
  readonly percentile: number; // 0.95
  /** Never sooner. */
  readonly minDelayMs: number; // 1
  /** Copies, as a share of the calls. */
  readonly maxRatio: number; // 0.05
}

/**
 * `upstream`: another upstream of this sidecar, such as a smaller model; none leads back to where it began. `last-good`:
 * the last answer to the same request bytes, of idempotent routes only. Default 5 min and 16 MiB. `vary` names the
 * metadata that tells requests apart, lower case; absent: all but tracing and timing.
 */
export type FallbackConfig =
  | { readonly kind: 'upstream'; readonly upstream: string }
  | {
      readonly kind: 'last-good';
      readonly maxAgeMs: number;
      readonly maxBytes: number;
      readonly vary?: readonly string[];
    };

export interface SplitConfig {
  /** First match wins: calls whose metadata `key` has `value` all go there. The upstream itself may be named, here and below. */
  readonly match: readonly { readonly key: string; readonly value: string; readonly upstream: string }[];
  /** Weights ≥ 0, their sum > 0. */
  readonly weights: Readonly<Record<string, number>>;
  /** Calls with the same value of this metadata key go to the same one. Absent: by chance. */
  readonly stickyBy?: string;
}

/** A copy of the request goes there too; its answer is compared and thrown away. */
export interface MirrorConfig {
  readonly upstream: string;
  readonly ratio: number; // 1
  /** Copies under way at once; more are left out and counted. */
  readonly maxInFlight: number; // 8
  /** Largest difference that is none: absolute, or relative beyond ±1. */
  readonly tolerance: number; // 1e-4
}

export interface RetryConfig {
  /** Attempts in all, the first included. Default 2. */
  readonly attempts: number;
  /** gRPC status codes that are worth another attempt. Default UNAVAILABLE (14). */
  readonly on: readonly number[];
  readonly backoff: { readonly baseMs: number; readonly maxMs: number }; // 25, 250
}
