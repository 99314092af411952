import type { HeaderField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';

/** The place of a call in a trace. Ids are hexadecimal digits, empty where there is none. */
export interface CallTrace {
  readonly traceId: string;
  /** Of the span of the call; those of its attempts are below it. */
  readonly spanId: string;
  /** The span of the caller. */
  readonly parentId: string;
  /** Its spans are exported, whatever becomes of it. Others are when it fails. */
  readonly isSampled: boolean;
  /** Its endpoints are told of the trace. */
  readonly isSent: boolean;
  /** The `x-request-id` that the call has or gets; empty: none. */
  readonly requestId: string;
  /** The caller sent none. */
  readonly isRequestIdMade: boolean;
  /** The `tracestate` of the caller belongs to this trace. */
  readonly keepsState: boolean;
}

/** Of a call without a trace, unless it fails. */
export const UNTRACED: CallTrace = {
  traceId: '',
  spanId: '',
  parentId: '',
  isSampled: false,
  isSent: false,
  requestId: '',
  isRequestIdMade: false,
  keepsState: false,
};

/** A call whose next attempt is about to be sent. */
export interface TracedCall {
  trace: CallTrace | null;
  readonly block: HeaderBlock;
  /** Attempts begun so far, with this one. */
  readonly attempts: number;
}

export interface TracedAttempt {
  spanId: string;
  readonly isHedge: boolean;
}

/** Puts calls into traces as they are sent on. */
export interface CallTracer {
  /**
   * The varying fields of an attempt's request with those that say where in which trace it is.
   */
  onward(call: TracedCall, attempt: TracedAttempt, extras: readonly HeaderField[]): readonly HeaderField[];
}
