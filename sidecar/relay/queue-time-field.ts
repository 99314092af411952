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
const MOST_DIGITS = 8;

/** Waits below this are told from one table: lists made once each, so that a call allocates nothing. */
const SHORT_MS = 128;
const SHORT = new Array<readonly HeaderField[] | undefined>(SHORT_MS * SHORT_MS).fill(undefined);

/** A wait of at least and at most so many ms. */
export interface QueueTime {
  leastMs: number;
  mostMs: number;
}

/** The field for a wait, alone in a list. */
export function queueTimeFields(leastMs: number, mostMs: number): readonly HeaderField[] {
  const least = Math.min(Math.round(leastMs), MAX_MS);
  const most = Math.min(Math.max(Math.round(mostMs), least), MAX_MS);
  if (most >= SHORT_MS) return makeFields(least, most);
  const at = least * SHORT_MS + most;
  let fields = SHORT[at];
  if (fields === undefined) {
    fields = makeFields(least, most);
    SHORT[at] = fields;
  }
  return fields;
}

function makeFields(least: number, most: number): readonly HeaderField[] {
  return [makeField(MetadataKey.queueTime, most === least ? String(least) : `${least}-${most}`)];
}

/** Reads the field among the varying fields of a header list into `found`. False: there is none that can be read. */
export function readQueueTime(extras: readonly HeaderField[], found: QueueTime): boolean {
  for (let i = 0; i < extras.length; i++)
    if (extras[i]!.token === Token.outriderQueueMs) return readValue(extras[i]!.value, found);
  return false;
}

function readValue(value: string, found: QueueTime): boolean {
  const dash = value.indexOf('-');
  const least = numberIn(value, 0, dash < 0 ? value.length : dash);
  const most = dash < 0 ? least : numberIn(value, dash + 1, value.length);
  if (least < 0 || most < 0) return false;
  found.leastMs = least;
  found.mostMs = Math.max(least, most);
  return true;
}

/** The number that `value[start, end)` is; −1: none of one to eight digits. */
function numberIn(value: string, start: number, end: number): number {
  const digits = end - start;
  if (digits < 1 || digits > MOST_DIGITS) return -1;
  let number = 0;
  for (let i = start; i < end; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}
