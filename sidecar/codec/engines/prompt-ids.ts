/** The beginning of a prompt, by which calls are told that an engine has computed in part already. */

import { type Body, BodyReader } from '../body-reader.js';
import { FieldCursor, Step, Wire } from '../field-cursor.js';
import { PREFIX_BYTES } from '../grpc-message.js';
import type { EngineCodec, PromptLayout } from './engine-codec.js';

/** Fields that are looked at, of the request and of its prompt. */
const MAX_FIELDS = 64;
/** About one token of a text. */
const TEXT_BYTES = 4;

/** Why a prompt has no beginning that can be told. */
export type Unread = 'absent' | 'compressed' | 'malformed' | 'incomplete';

/**
 * Reads the first ids of the prompt into `ids`, as many as fit; of a prompt that is a text, four bytes for each. What lies before them
 * is passed over. Returns how many there are, at least one, or why there is none.
 * @param body with the prefix of its message; its end may be missing.
 */
export function readPromptIds({ prompt }: EngineCodec, body: Body, ids: Uint32Array): number | Unread {
  const reader = new BodyReader(body);
  if (reader.bytes < PREFIX_BYTES) return reader.bytes === 0 ? 'absent' : 'incomplete';
  const flag = reader.byteAt(0);
  if (flag !== 0) return flag === 1 ? 'compressed' : 'malformed';
  const to = PREFIX_BYTES + reader.uint32At(1);
  const cursor = new FieldCursor(reader, PREFIX_BYTES, to);
  for (let n = 0; n < MAX_FIELDS; n++) {
    const step = cursor.step();
    if (step !== Step.field) return whyNot(step);
    if (cursor.wire !== Wire.bytes) continue;
    const { number, start, end } = cursor;
    if (number === prompt.message) return new PromptReading(reader, prompt, ids).read(start, end);
    if (number === prompt.text) return readText(reader, start, end, ids);
  }
  return 'malformed';
}

class PromptReading {
  private count = 0;

  constructor(
    private readonly reader: BodyReader,
    private readonly layout: PromptLayout,
    private readonly ids: Uint32Array,
  ) {}

  read(start: number, end: number): number | Unread {
    const cursor = new FieldCursor(this.reader, start, end);
    for (let others = 0; others < MAX_FIELDS; ) {
      const step = cursor.step();
      if (step === Step.end && this.count > 0) return this.count;
      if (step !== Step.field) return whyNot(step);
      if (cursor.number !== this.layout.ids) others++;
      else if (cursor.wire === Wire.varint) this.ids[this.count++] = cursor.value;
      else if (cursor.wire !== Wire.bytes) return 'malformed';
      else {
        const why = this.takePacked(cursor.start, cursor.end);
        if (why !== null) return why;
      }
      if (this.count === this.ids.length) return this.count;
    }
    return 'malformed';
  }

  /** As many as there is room for. */
  private takePacked(start: number, end: number): Unread | null {
    const { reader, ids } = this;
    let { count } = this;
    let value = 0;
    let unit = 1;
    for (let at = start; at < end; ) {
      if (at >= reader.bytes) return 'incomplete';
      reader.locate(at);
      const { buffer, shift } = reader;
      // In the piece: a prompt may have 200,000 bytes.
      for (const until = Math.min(end, reader.until); at < until; at++) {
        const byte = buffer[at + shift]!;
        value += (byte & 0x7f) * unit;
        unit *= 128;
        if (byte >= 0x80) continue;
        ids[count++] = value;
        if (count === ids.length) {
          this.count = count;
          return null;
        }
        value = 0;
        unit = 1;
      }
    }
    this.count = count;
    return unit === 1 ? null : 'malformed';
  }
}

function readText(reader: BodyReader, start: number, end: number, ids: Uint32Array): number | Unread {
  if (start === end) return 'absent';
  const to = Math.min(end, start + ids.length * TEXT_BYTES);
  if (to > reader.bytes) return 'incomplete';
  let count = 0;
  for (let at = start; at < to; at += TEXT_BYTES) {
    let word = 0;
    for (let p = at; p < Math.min(to, at + TEXT_BYTES); p++) word = word * 256 + reader.byteAt(p);
    ids[count++] = word;
  }
  return count;
}

function whyNot(step: Step): Unread {
  if (step === Step.end) return 'absent';
  return step === Step.more ? 'incomplete' : 'malformed';
}
