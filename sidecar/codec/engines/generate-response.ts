/** The messages of the response of `Generate`: read in place as they pass, and written anew where an engine goes on for another. */

import { Wire } from '../field-cursor.js';
import type { LogprobsLayout, ResumeLayout, TokensLayout } from './engine-codec.js';
import { FieldScanner } from './field-scanner.js';
import { MessageParts } from './message-parts.js';
import { TokenIds } from './token-ids.js';

/** What a message of the response is. `other`: it says nothing. */
export const ResponsePart = { other: 0, chunk: 1, complete: 2 } as const;
export type ResponsePart = (typeof ResponsePart)[keyof typeof ResponsePart];

const MAX_VARINT_BYTES = 10;

/**
 * Reads messages of one stream, one after the other: no object is made for one. What was read last stays until the next `read`.
 */
export class ResponseReader extends FieldScanner {
  part: ResponsePart = ResponsePart.other;
  /** Tokens of a chunk. */
  count = 0;
  promptTokens = 0;
  cachedTokens = 0;

  constructor(private readonly layout: ResumeLayout) {
    super();
  }

  /**
   * Reads bytes `[start, end)`, a whole message, and adds the tokens of a chunk to `ids`. False: it is no message of this engine, or one of
   * several sequences; then nothing is added.
   */
  read(buffer: Buffer, start: number, end: number, ids: TokenIds): boolean {
    const { length, count } = ids;
    this.part = ResponsePart.other;
    this.count = 0;
    this.promptTokens = 0;
    this.cachedTokens = 0;
    this.buffer = buffer;
    const isRead = this.readParts(start, end, ids);
    if (isRead) this.count = ids.count - count;
    else ids.truncate(length, count);
    this.leave();
    return isRead;
  }

  private readParts(start: number, end: number, ids: TokenIds): boolean {
    const { chunk, complete, chunkTokens, completeTokens } = this.layout;
    for (let at = start; at < end; ) {
      if (!this.readField(at, end)) return false;
      at = this.end;
      if (this.number !== chunk && this.number !== complete) continue;
      // Of two, decoders join them or take the last.
      if (this.wire !== Wire.bytes || this.part !== ResponsePart.other) return false;
      const isChunk = this.number === chunk;
      this.part = isChunk ? ResponsePart.chunk : ResponsePart.complete;
      if (!this.readTokens(isChunk ? chunkTokens : completeTokens, this.start, at, isChunk ? ids : null))
        return false;
    }
    return true;
  }

  private readTokens(layout: TokensLayout, start: number, end: number, ids: TokenIds | null): boolean {
    for (let at = start; at < end; ) {
      if (!this.readField(at, end)) return false;
      at = this.end;
      const { number, wire } = this;
      if (number === layout.ids) {
        if (wire !== Wire.bytes && wire !== Wire.varint) return false;
        if (ids !== null && !ids.add(this.buffer, this.start, at)) return false;
      } else if (number === layout.promptTokens) this.promptTokens = this.value;
      else if (number === layout.cachedTokens) this.cachedTokens = this.value;
      else if (number === layout.index && this.value !== 0) return false;
    }
    return true;
  }
}

/** What of a message of the engine that goes on is changed, so that it reads as one of the engine before. */
export interface Splice {
  /** Tokens at its beginning that the caller has already. */
  readonly drop: number;
  /** As the engine before said. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

/** A message that `ResponseReader` has read, changed; without the prefix. */
export function splicedResponse(layout: ResumeLayout, message: Buffer, splice: Splice): Buffer {
  const parts = new MessageParts();
  for (const { number, raw, content } of fieldsIn(message)) {
    if (number === layout.chunk)
      parts.bytes(number, splicedTokens(layout.chunkTokens, layout.logprobs, content, splice));
    else if (number === layout.complete)
      parts.bytes(number, splicedTokens(layout.completeTokens, layout.logprobs, content, splice));
    else parts.raw(raw);
  }
  return parts.finish();
}

function splicedTokens(
  layout: TokensLayout,
  logprobs: LogprobsLayout,
  content: Buffer,
  splice: Splice,
): Buffer {
  const { drop, promptTokens, cachedTokens } = splice;
  const ids = new TokenIds();
  const parts = new MessageParts();
  const rest = new MessageParts();
  let count = 0;
  for (const { number, wire, raw, content: own } of fieldsIn(content)) {
    if (number === layout.ids) ids.add(own, 0, own.length);
    else if (number === layout.completionTokens && wire === Wire.varint) count = numberIn(own);
    else if (number === layout.promptTokens || number === layout.cachedTokens) continue;
    else if (number === layout.logprobs) rest.bytes(number, shortened(logprobs, own, drop));
    else rest.raw(raw);
  }
  if (ids.count > drop) parts.bytes(layout.ids, ids.view(ids.startOf(drop)));
  return parts
    .number(layout.promptTokens, promptTokens)
    .number(layout.completionTokens, Math.max(0, count - drop))
    .number(layout.cachedTokens, cachedTokens)
    .raw(rest.finish())
    .finish();
}

/** Lists with an entry for each token, without the first ones. */
function shortened(layout: LogprobsLayout, message: Buffer, drop: number): Buffer {
  const values: Buffer[] = [];
  const ids = new TokenIds();
  const rest = new MessageParts();
  let tops = 0;
  for (const { number, raw, content } of fieldsIn(message)) {
    if (number === layout.values) values.push(content);
    else if (number === layout.ids) ids.add(content, 0, content.length);
    else if (number !== layout.tops || tops++ >= drop) rest.raw(raw);
  }
  const parts = new MessageParts();
  const left = Buffer.concat(values).subarray(4 * drop);
  if (left.length > 0) parts.bytes(layout.values, left);
  if (ids.count > drop) parts.bytes(layout.ids, ids.view(ids.startOf(drop)));
  return parts.raw(rest.finish()).finish();
}

/** One field: all of it, and its content, which of a varint is the varint. */
interface RawField {
  readonly number: number;
  readonly wire: number;
  readonly raw: Buffer;
  readonly content: Buffer;
}

/** The fields of a message; of one that is none, those before the error. */
function fieldsIn(message: Buffer): RawField[] {
  const fields: RawField[] = [];
  for (let from = 0; from < message.length; ) {
    const tag = varintAt(message, from);
    if (tag === null) break;
    const wire = tag.value % 8;
    const head = wire === Wire.varint || wire === Wire.bytes ? varintAt(message, tag.end) : null;
    let start = tag.end;
    let to = start + (wire === Wire.fixed64 ? 8 : 4);
    if (head !== null) {
      start = wire === Wire.bytes ? head.end : tag.end;
      to = wire === Wire.bytes ? head.end + head.value : head.end;
    }
    const number = Math.floor(tag.value / 8);
    fields.push({ number, wire, raw: message.subarray(from, to), content: message.subarray(start, to) });
    from = to;
  }
  return fields;
}

function numberIn(varint: Buffer): number {
  return varintAt(varint, 0)?.value ?? 0;
}

function varintAt(bytes: Buffer, start: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let at = start, unit = 1; at < bytes.length && at - start < MAX_VARINT_BYTES; at++, unit *= 128) {
    value += (bytes[at]! & 0x7f) * unit;
    if (bytes[at]! < 0x80) return { value, end: at + 1 };
  }
  return null;
}
