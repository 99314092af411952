/**
 * What a unary request asks for, by which it is recognised when it comes again: for an inference request (`ModelInfer`) all but
 * its `id`, which clients make anew for each call; for any other method every octet.
 *
 * Tensors are not decoded: fields of the message are told apart by tag and length, and stepped over. The parameters count, as a
 * model reads them, in whatever order they stand: they are a map, and some encoders write one in another order each time.
 */

import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import { MODEL_INFER } from '../../codec/inference.js';
import type { ChunkList } from '../../transport/chunk-list.js';

/** Fields of a message that are looked at; one with more counts as a whole. Two for each tensor are usual. */
export const MAX_FIELDS = 4_096;
/** Parameters, and octets of them, that are put in order; more count as they stand. */
export const MAX_PARAMETERS = 64;
const MAX_PARAMETER_BYTES = 16 * 1024;
/** Ranges that the fields left out may cut a message into. */
const MAX_RANGES = 64;

/** Field and wire type, as one: fields 3 and 4 of ModelInferRequest, length-delimited. */
const ID = 8 * 3 + 2;
const PARAMETER = 8 * 4 + 2;
/** A varint is at most ten octets. */
const MAX_VARINT_BYTES = 10;

/** The octets that a request is recognised by. */
export interface RequestContent {
  /** Of all pieces. */
  readonly bytes: number;
  /** Parts of the request, not copied, in an order that is the same for the same content. */
  readonly pieces: readonly Buffer[];
}

/** Octets `[from, to)` of a body. */
type Range = { readonly from: number; to: number };

/** @param body all of the request, with the prefix of its message; null: it is empty. */
export function contentOf(path: string, body: ChunkList | null): RequestContent {
  if (body === null) return { bytes: 0, pieces: [] };
  const content = path === MODEL_INFER ? inferContent(body) : null;
  return content ?? { bytes: body.bytes, pieces: piecesOf(body, [{ from: 0, to: body.bytes }]) };
}

/** Null: it is compressed, is no message, or has too many fields. */
function inferContent(body: ChunkList): RequestContent | null {
  const reader = new FieldReader(body);
  if (!reader.readPrefix()) return null;
  const kept: Range[] = [];
  const parameters: Range[] = [];
  for (let fields = 0; reader.at < body.bytes; fields++) {
    const from = reader.at;
    const tag = fields < MAX_FIELDS ? reader.skipField() : INVALID;
    if (tag === INVALID || kept.length > MAX_RANGES) return null;
    if (tag === ID) continue;
    const to = reader.at;
    if (tag === PARAMETER) parameters.push({ from, to });
    else if (kept.at(-1)?.to === from) kept.at(-1)!.to = to;
    else kept.push({ from, to });
  }
  const pieces = [...piecesOf(body, kept), ...parametersOf(body, parameters)];
  return { bytes: pieces.reduce((sum, { length }) => sum + length, 0), pieces };
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

const INVALID = -1;

/** Steps over the fields of one message in a body that came in chunks. */
class FieldReader {
  /** Octets read or stepped over. */
  at = 0;
  private chunk = 0;
  /** Position of the present chunk in the body. */
  private first = 0;

  constructor(private readonly body: ChunkList) {}

  /** Whether the body is one message, not compressed. */
  readPrefix(): boolean {
    if (this.body.bytes < PREFIX_BYTES || this.octet() !== 0) return false;
    let length = 0;
    for (let i = 1; i < PREFIX_BYTES; i++) length = length * 256 + this.octet();
    return length === this.body.bytes - PREFIX_BYTES;
  }

  /** Steps over a field. Returned is its tag; INVALID: there is none, or it goes beyond the message. */
  skipField(): number {
    const tag = this.varint();
    // 64-bit field numbers do not exist, and `&` takes 32 bits.
    const type = tag % 8;
    if (tag < 8) return INVALID;
    if (type === 0) return this.varint() === INVALID ? INVALID : tag;
    const length = type === 2 ? this.varint() : type === 1 ? 8 : type === 5 ? 4 : INVALID;
    if (length === INVALID || length > this.body.bytes - this.at) return INVALID;
    this.at += length;
    return tag;
  }

  private varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < MAX_VARINT_BYTES && this.at < this.body.bytes; i++) {
      const octet = this.octet();
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
      scale *= 128;
    }
    return INVALID;
  }

  private octet(): number {
    const { body } = this;
    let slice = body.at(this.chunk);
    while (this.at >= this.first + slice.end - slice.start) {
      this.first += slice.end - slice.start;
      slice = body.at(++this.chunk);
    }
    return slice.buffer[slice.start + this.at++ - this.first]!;
  }
}
