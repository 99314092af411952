import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { CallStats } from './call-stats.js';
import type { CallUsage } from './engine-stats.js';
import type { CallTrace } from './traces/call-trace.js';

/** Of more attempts the last ones are kept. */
export const MAX_RECORDED = 16;

/** Gets every call at its end, for the access log and for traces. */
export interface Recorder {
  /** Called in the middle of a turn: it must neither throw nor wait. */
  record(call: EndedCall, status: number): void;
}

/** What a call is known by at its end. Times are monotonic ms. */
export interface EndedCall {
  readonly startMs: number;
  /** Infinity: none. */
  readonly deadlineMs: number;
  readonly stats: CallStats | null;
  /** The request's headers. */
  readonly block: HeaderBlock;
  readonly session: { readonly identity: unknown };
  readonly plan: { readonly stripsResponse: boolean };
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Name of the local reply's reason; empty: the endpoint answered. */
  readonly reason: string;
  /** Why the response is not what the call asked for, and where it is from; empty: it is. */
  readonly degraded: string;
  /** Of a call of a language-model engine, at the sidecar of its caller: its tokens. */
  readonly engineCall?: { readonly usage: CallUsage } | null;
  /** The same at the sidecar of the engine. */
  readonly tokens?: { readonly usage: CallUsage } | null;
  /** It is a copy of another call, made by this sidecar. */
  readonly isCopy?: boolean;
  /** Its place in a trace; null: traces are off, or the call ended before its first attempt was sent. */
  trace: CallTrace | null;
  /** Attempts begun. */
  readonly attempts: number;
  /** The last attempt, from which the others are reached, MAX_RECORDED in all; null: none was begun while calls were recorded. */
  readonly lastAttempt: EndedAttempt | null;
}

/** An attempt as the access log and traces read it. */
export interface EndedAttempt {
  /** Its address, and the name of its instance; without either: the local model. */
  readonly target: { readonly label?: string; readonly id?: string };
  /** 16 hexadecimal digits; empty: none has been needed. */
  spanId: string;
  /** It was begun beside another one. */
  readonly isHedge: boolean;
  /** It brought no further message in time. */
  readonly isSilent: boolean;
  /** It goes on with a stream of which the caller has so many messages; −1: it begins one. */
  readonly resumedAfter: number;
  /** It was sent so long after its start, whole ms, because no connection had room; 0: at once, or never. */
  readonly waitedMs: number;
  readonly startMs: number;
  /** 0: with the call. */
  readonly endedMs: number;
  /** An `AttemptEnd` of core/outcome/outcome.ts; −1: it had not. */
  readonly ended: number;
  readonly status: number;
  /** Why it ended so, in words, as far as the protocol tells more than `ended` and `status`; empty: it does not. */
  readonly reason: string;
  /** An `Outcome` of core/outcome/outcome.ts; −1: it was not classified. */
  readonly outcome: number;
  readonly trailers: HeaderBlock | null;
  readonly previous: EndedAttempt | null;
}
