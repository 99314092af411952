/**
 * What a unary request asks for, by which it is recognised when it comes again: for an inference request (`ModelInfer`) all but
 * its `id`, which clients make anew for each call, and so for one that generates tokens; for any other method every byte.
 *
 * Tensors are not decoded: fields of the message are told apart by tag and length, and stepped over. The parameters count, as a
 * model reads them, in whatever order they stand: they are a map, and some encoders write one in another order each time.
 */

import { BodyReader } from '../../codec/body-reader.js';
import { ENGINE_CODECS } from '../../codec/engines/engine-codecs.js';
import { FieldCursor, Step } from '../../codec/field-cursor.js';
import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import { MODEL_INFER } from '../../codec/inference.js';
import type { ChunkList } from '../../transport/chunk-list.js';

/** Fields of a message that are looked at; one with more counts as a whole. Two for each tensor are usual. */
export const MAX_FIELDS = 4_096;
/** Parameters, and bytes of them, that are put in order; more count as they stand. */
export const MAX_PARAMETERS = 64;
const MAX_PARAMETER_BYTES = 16 * 1024;
/** Ranges that the fields left out may cut a message into. */
const MAX_RANGES = 64;

/** Field and wire type, as one: fields 3 and 4 of ModelInferRequest, length-delimited. */
const ID = 8 * 3 + 2;
const PARAMETER = 8 * 4 + 2;
const NO_TAG = -1;

/** The bytes that a request is recognised by. */
export interface RequestContent {
  /** Of all pieces. */
  readonly bytes: number;
  /** Parts of the request, not copied, in an order that is the same for the same content. */
  readonly pieces: readonly Buffer[];
}

/** Bytes `[from, to)` of a body. */
type Range = { readonly from: number; to: number };

/** @param body all of the request, with the prefix of its message; null: it is empty. */
export function contentOf(path: string, body: ChunkList | null): RequestContent {
  if (body === null) return { bytes: 0, pieces: [] };
  const content = path === MODEL_INFER ? contentWithout(body, ID, PARAMETER) : generateContent(path, body);
  return content ?? { bytes: body.bytes, pieces: piecesOf(body, [{ from: 0, to: body.bytes }]) };
}

/** Null: it is no request of an engine, or as below. */
function generateContent(path: string, body: ChunkList): RequestContent | null {
  for (const { generate, requestId } of Object.values(ENGINE_CODECS))
    if (path === generate) return contentWithout(body, 8 * requestId + 2, NO_TAG);
  return null;
}

/** Null: it is compressed, is no message, or has too many fields. */
function contentWithout(body: ChunkList, id: number, parameter: number): RequestContent | null {
  const reader = new BodyReader(body);
  if (!isOneMessage(reader)) return null;
  const kept: Range[] = [];
  const parameters: Range[] = [];
  const field = new FieldCursor(reader, PREFIX_BYTES);
  let from = PREFIX_BYTES;
  for (let fields = 0; from < body.bytes; fields++) {
    if (fields >= MAX_FIELDS || field.step() !== Step.field || kept.length > MAX_RANGES) return null;
    const { tag, end: to } = field;
    if (tag === parameter) parameters.push({ from, to });
    else if (tag !== id) {
      if (kept.at(-1)?.to === from) kept.at(-1)!.to = to;
      else kept.push({ from, to });
    }
    from = to;
  }
  const pieces = [...piecesOf(body, kept), ...parametersOf(body, parameters)];
  return { bytes: pieces.reduce((sum, { length }) => sum + length, 0), pieces };
}

/** Whether a body is one message, not compressed. */
function isOneMessage(reader: BodyReader): boolean {
  if (reader.bytes < PREFIX_BYTES || reader.byteAt(0) !== 0) return false;
  return reader.uint32At(1) === reader.bytes - PREFIX_BYTES;
}

/** The entries of a map in an order that does not depend on the encoder, where there are not too many of them. */
function parametersOf(body: ChunkList, ranges: readonly Range[]): Buffer[] {
  const bytes = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  if (ranges.length < 2 || ranges.length > MAX_PARAMETERS || bytes > MAX_PARAMETER_BYTES)
    return piecesOf(body, ranges);
  return ranges.map((range) => Buffer.concat(piecesOf(body, [range]))).sort(Buffer.compare);
}

/** Views of ascending ranges: one pass over the body. */
function piecesOf(body: ChunkList, ranges: readonly Range[]): Buffer[] {
  const pieces: Buffer[] = [];
  let next = 0;
  let first = 0;
  for (let i = 0; i < body.count && next < ranges.length; i++) {
    const { buffer, start, end } = body.at(i);
    const last = first + end - start;
    for (; next < ranges.length; next++) {
      const { from, to } = ranges[next]!;
      const begin = Math.max(from, first);
      const until = Math.min(to, last);
      if (begin < until) pieces.push(buffer.subarray(start + begin - first, start + until - first));
      // The rest of it is in the next chunk.
      if (to > last) break;
    }
    first = last;
  }
  return pieces;
}
