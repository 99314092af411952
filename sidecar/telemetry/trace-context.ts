import { MetadataKey } from '../core/metadata-key.js';
import { makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';

/** W3C Trace Context, level 1: version, trace id, parent id, flags; later versions may add to it. */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;
/** Length of one of version 00, and of the longest that is looked at. */
const LENGTH_OF_00 = 55;
const MAX_TRACEPARENT = 100;
/** A longer `tracestate` is not passed on (section 3.3.1.5). */
const MAX_TRACESTATE = 512;

/**
 * In requests between sidecars: that of the caller decides which calls are traced. One of them without a `traceparent` is
 * none that does, and no trace begins in its middle.
 */
export const TRACES_FIELD = makeField(MetadataKey.traces, '1');

/** A `traceparent`. */
export interface TraceParent {
  /** 32 and 16 hexadecimal digits, in lower case. */
  readonly traceId: string;
  readonly spanId: string;
  readonly isSampled: boolean;
}

/** What the caller says of the trace of its request; undefined: nothing, or nothing that is valid. */
export function parentOf({ extras }: HeaderBlock): TraceParent | undefined {
  let value: string | undefined;
  for (const field of extras) {
    if (field.token !== Token.traceparent) continue;
    // Two are none (section 3.2.2).
    if (value !== undefined) return undefined;
    value = field.value;
  }
  return value === undefined ? undefined : parseParent(value);
}

/** Reads the value of a `traceparent`. */
export function parseParent(value: string): TraceParent | undefined {
  if (value.length < LENGTH_OF_00 || value.length > MAX_TRACEPARENT) return undefined;
  const match = TRACEPARENT.exec(value);
  if (match === null || (match[1] === '00' && value.length > LENGTH_OF_00)) return undefined;
  return {
    traceId: match[2]!,
    spanId: match[3]!,
    isSampled: (Number.parseInt(match[4]!, 16) & 1) === 1,
  };
}

/** The trace id in the `traceparent` of a request, 32 hexadecimal digits; undefined: it has none that is valid. */
export function traceIdOf(block: HeaderBlock): string | undefined {
  return parentOf(block)?.traceId;
}

/** All of `tracestate`, of one field or more; empty: there is none, or it is longer than is passed on. */
export function traceStateOf({ extras }: HeaderBlock): string {
  let state = '';
  for (const { token, value } of extras)
    if (token === Token.tracestate) state = state === '' ? value : `${state},${value}`;
  return state.length > MAX_TRACESTATE ? '' : state;
}

/** Printable ASCII, as ids of requests are. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** The id that the caller gave its request in `x-request-id`; undefined: none, or one that is no id. */
export function requestIdOf({ extras }: HeaderBlock): string | undefined {
  for (const { token, value } of extras)
    if (token === Token.xRequestId) return REQUEST_ID.test(value) ? value : undefined;
  return undefined;
}
