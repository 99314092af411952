/** How many tokens a request of `Generate` is about: what it costs an engine. */

import { type Body, BodyReader } from '../body-reader.js';
import { FieldCursor, Step, Wire } from '../field-cursor.js';
import { PREFIX_BYTES } from '../grpc-message.js';
import type { EngineCodec } from './engine-codec.js';

/** Fields that are looked at: of the request and its prompt, and of its parameters, which may name a token in each. */
const MAX_FIELDS = 64;
const MAX_PARAMETERS = 16_384;
/** Ids outside packed lists, each of which is a field. No usual encoder writes any. */
const MAX_UNPACKED = 65_536;

export interface RequestTokens {
  /** Ids of the prompt; of several prompts, of which an engine takes one, all of them. */
  readonly promptIds: number;
  /** Bytes of a prompt that is a text in place of ids. */
  readonly textBytes: number;
  /** The most that each sequence may get; −1: the request does not say it. Beyond 2^53 not exact. */
  readonly maxTokens: number;
  /** Sequences that are asked for, at least 1. */
  readonly sequences: number;
}

/**
 * Reads a request in place. Of a number that stands twice the last one counts, as for an engine. Null: it cannot be read, as it is compressed, no message
 * of this engine, of more fields than are looked at, or not all here.
 * @param body with the prefix of its message.
 */
export function readRequestTokens(codec: EngineCodec, body: Body): RequestTokens | null {
  if (codec.resume === null || body.bytes < PREFIX_BYTES) return null;
  const reader = new BodyReader(body);
  if (reader.byteAt(0) !== 0 || reader.uint32At(1) !== reader.bytes - PREFIX_BYTES) return null;
  const reading = new TokensReading(codec, reader);
  return reading.read() ? reading : null;
}

class TokensReading implements RequestTokens {
  promptIds = 0;
  textBytes = 0;
  maxTokens = -1;
  sequences = 1;
  private unpacked = 0;

  constructor(
    private readonly codec: EngineCodec,
    private readonly reader: BodyReader,
  ) {}

  /** False: it cannot be read. */
  read(): boolean {
    const { prompt, resume } = this.codec;
    const cursor = new FieldCursor(this.reader, PREFIX_BYTES);
    for (let n = 0; n < MAX_FIELDS; n++) {
      const step = cursor.step();
      if (step !== Step.field) return step === Step.end;
      const { number, wire, start, end } = cursor;
      const isPrompt = number === prompt.message;
      const isText = number === prompt.text;
      const isSampling = number === resume!.sampling;
      if (!isPrompt && !isText && !isSampling) continue;
      if (wire !== Wire.bytes) return false;
      if (isText) this.textBytes += end - start;
      else if (!(isPrompt ? this.readPrompt(start, end) : this.readSampling(start, end))) return false;
    }
    return false;
  }

  private readPrompt(from: number, to: number): boolean {
    const cursor = new FieldCursor(this.reader, from, to);
    for (let others = 0; others < MAX_FIELDS; ) {
      const step = cursor.step();
      if (step !== Step.field) return step === Step.end;
      const { number, wire, start, end } = cursor;
      if (number !== this.codec.prompt.ids) others++;
      else if (wire === Wire.bytes) {
        if (!this.takePacked(start, end)) return false;
      } else if (wire !== Wire.varint || ++this.unpacked > MAX_UNPACKED) return false;
      else this.promptIds++;
    }
    return false;
  }

  /** Each id ends with the one of its bytes that is below 0x80. */
  private takePacked(from: number, to: number): boolean {
    const { reader } = this;
    let ids = 0;
    let last = 0;
    for (let p = from; p < to; ) {
      reader.locate(p);
      const { buffer, shift } = reader;
      const end = Math.min(to, reader.until);
      for (; p < end; p++) {
        last = buffer[p + shift]!;
        if (last < 0x80) ids++;
      }
    }
    this.promptIds += ids;
    return last < 0x80;
  }

  private readSampling(from: number, to: number): boolean {
    const { maxTokens, n } = this.codec.resume!.parameters;
    const cursor = new FieldCursor(this.reader, from, to);
    for (let fields = 0; fields < MAX_PARAMETERS; fields++) {
      const step = cursor.step();
      if (step !== Step.field) return step === Step.end;
      const { number, wire, value } = cursor;
      if (number !== maxTokens && number !== n) continue;
      if (wire !== Wire.varint) return false;
      if (number === n) this.sequences = Math.max(1, value);
      else this.maxTokens = value;
    }
    return false;
  }
}
