import { formatGrpcTimeout, parseGrpcTimeout } from '../core/deadline/grpc-timeout.js';
import { MetadataKey } from '../core/metadata-key.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import { NEVER } from './call.js';
import { TimeoutFields } from './timeout-fields.js';

/** Timeouts of attempts, of which there are as many as routes say. */
const fields = new Map<number, HeaderField>();
const MAX_FIELDS = 1_024;

/**
 * The field by which one sidecar tells another the timeout of one attempt where `grpc-timeout` cannot say it: it counts from the end of a
 * request that is still on its way when its headers are sent, or is that of the beginning of a stream, which goes on after it. Removed before the model sees it.
 * The same object for the same timeout.
 */
export function attemptTimeoutField(limitMs: number): HeaderField {
  let field = fields.get(limitMs);
  if (field === undefined) {
    // Never indexed: so it is no part of the list that is kept, and is found among the few fields beside it.
    field = makeField(MetadataKey.attemptTimeout, formatGrpcTimeout(limitMs), true);
    if (fields.size < MAX_FIELDS) fields.set(limitMs, field);
  }
  return field;
}

const NO_DEADLINE = 'none';
const UNLIMITED = makeField(MetadataKey.deadline, NO_DEADLINE);
const DEADLINES = new TimeoutFields(MetadataKey.deadline);

/**
 * The field by which one sidecar tells another the time left of the call where `grpc-timeout` is the limit of one attempt. That limit applies until
 * the answer begins, and the deadline of the call after that. Removed before the model sees it.
 * @param leftMs NEVER: the call has no deadline.
 */
export function callDeadlineField(leftMs: number): HeaderField {
  return leftMs === NEVER ? UNLIMITED : DEADLINES.of(leftMs);
}

/** What a block says is left of the call, ms; NEVER: it has no deadline; NaN: it does not say. */
export function callDeadlineIn({ extras }: HeaderBlock): number {
  for (let i = 0; i < extras.length; i++) {
    const field = extras[i]!;
    if (field.token !== Token.outriderDeadline) continue;
    return field.value === NO_DEADLINE ? NEVER : parseGrpcTimeout(field.value);
  }
  return Number.NaN;
}

/** What a block says of the timeout of an attempt, ms; NEVER: nothing. */
export function attemptTimeoutIn({ extras }: HeaderBlock): number {
  for (let i = 0; i < extras.length; i++) {
    const field = extras[i]!;
    if (field.token !== Token.outrider || field.name !== MetadataKey.attemptTimeout) continue;
    const limitMs = parseGrpcTimeout(field.value);
    return limitMs >= 0 ? limitMs : NEVER;
  }
  return NEVER;
}
