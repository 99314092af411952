import { type Body, BodyReader } from '../body-reader.js';
import { FieldCursor, Step, Wire } from '../field-cursor.js';
import { framed, PREFIX_BYTES } from '../grpc-message.js';
import type { EngineCodec } from './engine-codec.js';
import { LONGEST_REQUEST_ID } from './generate-request.js';
import { MessageParts } from './message-parts.js';

/** Ids that are read of one request. */
const MOST_IDS = 1_024;

/** The requests that `Abort` names; none where it cannot be read, or names too many. @param body with the prefix of its message. */
export function readAbortedIds(codec: EngineCodec, body: Body): string[] {
  const reader = new BodyReader(body);
  if (reader.bytes < PREFIX_BYTES || reader.byteAt(0) !== 0) return [];
  if (reader.uint32At(1) !== reader.bytes - PREFIX_BYTES) return [];
  const ids: string[] = [];
  const cursor = new FieldCursor(reader, PREFIX_BYTES);
  for (;;) {
    const step = cursor.step();
    if (step === Step.end) return ids;
    const { number, wire, start, end } = cursor;
    if (step !== Step.field || ids.length >= MOST_IDS) return [];
    if (number !== codec.abortedIds || wire !== Wire.bytes || end - start > LONGEST_REQUEST_ID) continue;
    ids.push(reader.copy(start, end).toString('utf8'));
  }
}

/** A request that names these, with the prefix of its message. */
export function abortRequestOf(codec: EngineCodec, ids: readonly string[]): Buffer {
  const parts = new MessageParts();
  for (const id of ids) parts.bytes(codec.abortedIds, Buffer.from(id));
  return framed(parts.finish());
}
