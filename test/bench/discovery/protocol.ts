/** What the discovery benchmark and its processes say to each other. Plain data over the IPC channel of each child. */

import type { Stall } from './loop.js';

/** To the Consul of the benchmark. */
export type AgentRequest =
  /** From now on the service has this many instances. `port` 0: each at an address where nothing listens. */
  | { readonly do: 'set'; readonly service: string; readonly count: number; readonly port: number }
  /** One of them turns critical, or passing again. */
  | { readonly do: 'change'; readonly service: string }
  /** The same so many times a minute; 0 ends it. */
  | { readonly do: 'churn'; readonly service: string; readonly perMinute: number }
  | { readonly do: 'counts' };

/** What the agent has answered so far. */
export interface AgentCounts {
  readonly requests: number;
  /** Bodies only. */
  readonly bytes: number;
  readonly changes: number;
}

/** To the process that stands for a sidecar: the whole way of an answer, without the calls. */
export type SubjectRequest =
  | { readonly do: 'start'; readonly agent: string; readonly cache: string }
  /** Follows a service, or begins anew; resolves with its first answer. */
  | { readonly do: 'follow'; readonly service: string }
  /** Resolves with the next answer about it. */
  | { readonly do: 'next'; readonly service: string }
  | { readonly do: 'leave'; readonly service: string }
  /** Nanoseconds of one pick. */
  | { readonly do: 'picks'; readonly service: string }
  /** What the event loop does in so many milliseconds, whatever happens. */
  | { readonly do: 'watch'; readonly forMs: number };

/** One answer, taken in; the stall is that from asking until a moment after. */
export interface Applied extends Stall {
  readonly endpoints: number;
  readonly bytes: number;
  /** From the last byte of the answer to endpoints that calls can go to. */
  readonly appliedMs: number;
  readonly rssMb: number;
}

/** What the event loop did in a stretch of time. */
export interface LoopWatch extends Stall {
  /** Share of one core, all threads. */
  readonly cpu: number;
  readonly rssMb: number;
  /** Answers that were taken in meanwhile. */
  readonly applied: number;
}
