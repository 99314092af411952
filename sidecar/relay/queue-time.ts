/**
 * `outrider-queue-ms`: how much of a call's time passed in a queue at the endpoint, by the sidecar there. In trailers, and for streams in
 * the response headers. `12`, or `12-52`: at least and at most, where the model itself may have a queue. A sidecar that has sent the field once on a
 * connection sends it with each call that waited.
 */

import { MetadataKey } from '../core/metadata-key.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { Token } from '../http2/hpack/tokens.js';

/** No sidecar waits longer, ms: more than a day. */
const MAX_MS = 99_999_999;
const VALUE = /^(\d{1,8})(?:-(\d{1,8}))?$/;

/** Made once each, up to a bound, so that a call allocates nothing. */
const FIELDS = new Map<number, readonly HeaderField[]>();
const MAX_FIELDS = 16_384;

/** A wait of at least and at most so many ms. */
export interface QueueTime {
  leastMs: number;
  mostMs: number;
}

/** The field for a wait, alone in a list. */
export function queueTimeFields(leastMs: number, mostMs: number): readonly HeaderField[] {
  const least = Math.min(Math.round(leastMs), MAX_MS);
  const most = Math.min(Math.max(Math.round(mostMs), least), MAX_MS);
  const key = least * (MAX_MS + 1) + most;
  const known = FIELDS.get(key);
  if (known !== undefined) return known;
  const value = most === least ? String(least) : `${least}-${most}`;
  const made = [makeField(MetadataKey.queueTime, value)];
  if (FIELDS.size < MAX_FIELDS) FIELDS.set(key, made);
  return made;
}

/** Reads the field among the varying fields of a header list into `found`. False: there is none that can be read. */
export function readQueueTime(extras: readonly HeaderField[], found: QueueTime): boolean {
  for (const field of extras) {
    if (field.token !== Token.outriderQueueMs) continue;
    const match = VALUE.exec(field.value);
    if (match === null) return false;
    found.leastMs = Number(match[1]);
    found.mostMs = Math.max(found.leastMs, Number(match[2] ?? match[1]));
    return true;
  }
  return false;
}
