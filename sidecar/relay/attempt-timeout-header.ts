import { formatGrpcTimeout, parseGrpcTimeout } from '../core/deadline/grpc-timeout.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import { NEVER } from './call.js';

/**
 * The timeout of one attempt, which one sidecar sends to another where `grpc-timeout` cannot say it: it counts from the
 * end of a request that is still on its way when its headers are sent, or is that of the beginning of a stream, which goes on after it.
 * Removed before the model sees it.
 */
export const ATTEMPT_TIMEOUT_KEY = 'outrider-attempt-timeout';

/** There are as many as routes say. */
const fields = new Map<number, HeaderField>();
const MAX_FIELDS = 1_024;

/** The field for a timeout of `limitMs`; the same object for the same one. */
export function attemptTimeoutField(limitMs: number): HeaderField {
  let field = fields.get(limitMs);
  if (field === undefined) {
    // Never indexed: so it is no part of the list that is kept, and is found among the few fields beside it.
    field = makeField(ATTEMPT_TIMEOUT_KEY, formatGrpcTimeout(limitMs), true);
    if (fields.size < MAX_FIELDS) fields.set(limitMs, field);
  }
  return field;
}

/**
 * The time left of the call. One sidecar sends it to another if `grpc-timeout` is the limit of one attempt. That limit applies until
 * the answer begins, and the deadline of the call after that. Removed before the model sees it.
 */
export const CALL_DEADLINE_KEY = 'outrider-deadline';
/** The value for a call without a deadline. */
const NO_DEADLINE = 'none';

const UNLIMITED = makeField(CALL_DEADLINE_KEY, NO_DEADLINE);
/** By whole milliseconds: few values recur very often. */
const deadlines: (HeaderField | undefined)[] = new Array<HeaderField | undefined>(16_384).fill(undefined);

/** The field for a call with `leftMs` left; NEVER: it has no deadline. Those of up to 16,383 ms are made once. */
export function callDeadlineField(leftMs: number): HeaderField {
  if (leftMs === NEVER) return UNLIMITED;
  if (leftMs < 100 || leftMs >= deadlines.length)
    return makeField(CALL_DEADLINE_KEY, formatGrpcTimeout(leftMs));
  const ms = Math.floor(leftMs);
  const known = deadlines[ms];
  if (known !== undefined) return known;
  const field = makeField(CALL_DEADLINE_KEY, formatGrpcTimeout(ms));
  deadlines[ms] = field;
  return field;
}

/** What a block says is left of the call, ms; NEVER: it has no deadline; NaN: it does not say. */
export function callDeadlineIn({ extras }: HeaderBlock): number {
  for (let i = 0; i < extras.length; i++) {
    const { token, name, value } = extras[i]!;
    if (token === Token.outrider && name === CALL_DEADLINE_KEY)
      return value === NO_DEADLINE ? NEVER : parseGrpcTimeout(value);
  }
  return Number.NaN;
}

/** What a block says of the timeout of an attempt, ms; NEVER: nothing. */
export function attemptTimeoutIn({ extras }: HeaderBlock): number {
  for (let i = 0; i < extras.length; i++) {
    const field = extras[i]!;
    if (field.token !== Token.outrider || field.name !== ATTEMPT_TIMEOUT_KEY) continue;
    const limitMs = parseGrpcTimeout(field.value);
    return limitMs >= 0 ? limitMs : NEVER;
  }
  return NEVER;
}
