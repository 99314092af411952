/**
 * Which model a request of ModelInfer, or of another method that names one, is for: its first bytes are read where they lie, and all fields but name and
 * version are stepped over. It is asked at nearly every call, so nothing is made for it, no text either. Field numbers
 * are those of proto/inference.proto.
 */

import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import { LONGEST_MODEL_NAME, type ModelLayout } from '../../core/routing/method.js';
import type { ChunkList } from '../../transport/chunk-list.js';

/** Bytes of a request that are looked at. */
export const VIEW_BYTES = 4096;
export const LONGEST_VERSION = 64;
/** Field and wire type, as one. */
const NAME = 8 * 1 + 2;
const VERSION = 8 * 2 + 2;

/** Field 1 of google.protobuf.Int64Value, as a varint. */
const INT64_VALUE = 8 * 1 + 0;
const DIGIT_0 = 48;
/** In place of where a version begins: there is none. */
const NO_VERSION = -1;

/** One request at a time: made once and read into. */
export class ModelView {
  /** The length of the name, the name, the version. */
  readonly bytes = new Uint8Array(1 + LONGEST_MODEL_NAME + LONGEST_VERSION);
  /** As many of them count; 0: no model is named, or none that can be told. */
  length = 0;
  private readonly gathered = Buffer.allocUnsafeSlow(VIEW_BYTES);
  private layout: ModelLayout = 'fields';
  private at = 0;
  private stop = 0;
  private name = 0;
  private nameBytes = 0;
  private version = 0;
  private versionBytes = 0;

  /**
   * Reads a body as it was sent, from its first byte on. A compressed or malformed message names no model, nor does one
   * that has a name too long or beyond what is looked at. False: the body is cut off before that is clear.
   */
  read(kept: ChunkList, layout: ModelLayout = 'fields'): boolean {
    this.length = 0;
    this.layout = layout;
    if (kept.count === 0) return false;
    const { buffer, start, end } = kept.at(0);
    if (end - start >= VIEW_BYTES || end - start === kept.bytes) return this.readFrom(buffer, start, end);
    return this.readFrom(this.gathered, 0, this.gather(kept));
  }

  /** A copy that outlasts the next `read`. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  private gather(kept: ChunkList): number {
    let n = 0;
    for (let i = 0; i < kept.count && n < VIEW_BYTES; i++) {
      const { buffer, start, end } = kept.at(i);
      n += buffer.copy(this.gathered, n, start, end);
    }
    return n;
  }

  private readFrom(bytes: Buffer, start: number, end: number): boolean {
    const first = start + PREFIX_BYTES;
    if (end < first) return false;
    if (bytes[start] !== 0) return true;
    const messageEnd = first + bytes.readUInt32BE(start + 1);
    const stop = Math.min(messageEnd, start + VIEW_BYTES);
    if (end < stop) return false;
    this.at = first;
    this.stop = stop;
    this.nameBytes = 0;
    this.versionBytes = 0;
    if (!this.findIn(bytes, messageEnd)) return true;
    if (this.layout === 'fields') this.take(bytes);
    else this.takeSpec(bytes);
    return true;
  }

  /** The name that was found is the message `model_spec`. */
  private takeSpec(bytes: Buffer): void {
    const { name, nameBytes } = this;
    this.at = name;
    this.stop = name + nameBytes;
    this.nameBytes = 0;
    this.version = NO_VERSION;
    this.versionBytes = 0;
    this.layout = 'fields';
    if (nameBytes === 0 || !this.findIn(bytes, this.stop)) return;
    const { version, versionBytes } = this;
    this.versionBytes = 0;
    this.take(bytes);
    if (this.length === 0 || version === NO_VERSION) return;
    // Encoders leave a number of 0 out.
    if (versionBytes === 0) return this.appendNumber(0);
    if (bytes[version] !== INT64_VALUE) return;
    this.at = version + 1;
    this.stop = version + versionBytes;
    const value = this.number(bytes);
    if (Number.isSafeInteger(value) && value >= 0) this.appendNumber(value);
  }

  private appendNumber(value: number): void {
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    let rest = value;
    for (let i = digits - 1; i >= 0; i--) {
      this.bytes[this.length + i] = DIGIT_0 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.length += digits;
  }

  /** Finds the last name and version there are. False: that is no message, or one of them is only partly in view. */
  private findIn(bytes: Buffer, messageEnd: number): boolean {
    const { stop } = this;
    while (this.at < stop) {
      const tag = this.number(bytes);
      if (tag < 0) return stop < messageEnd;
      const type = tag & 7;
      if (type === 2) {
        const length = this.number(bytes);
        if (length < 0) return stop < messageEnd;
        const { at } = this;
        this.at += length;
        if (this.at > messageEnd) return false;
        // Field 2 beside a spec is an input.
        if (tag !== NAME && (tag !== VERSION || this.layout === 'spec')) continue;
        if (this.at > stop) return false;
        if (tag === NAME) {
          this.name = at;
          this.nameBytes = length;
        } else {
          this.version = at;
          this.versionBytes = length;
        }
      } else if (type === 0) {
        if (this.number(bytes) < 0) return stop < messageEnd;
      } else if (type === 1) {
        this.at += 8;
      } else if (type === 5) {
        this.at += 4;
      } else {
        return false;
      }
    }
    return this.at <= messageEnd;
  }

  /** The number at the cursor, which moves on; −1: it does not end in view, or is none. */
  private number(bytes: Buffer): number {
    const { at: from, stop } = this;
    const first = from < stop ? bytes[from]! : 0x80;
    // Nearly all of them.
    if (first < 0x80) {
      this.at = from + 1;
      return first;
    }
    let value = 0;
    let scale = 1;
    for (let at = from; at < stop && scale < 2 ** 70; at++) {
      const byte = bytes[at]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at = at + 1;
        return value;
      }
      scale *= 128;
    }
    return -1;
  }

  private take(source: Buffer): void {
    const { bytes, name, nameBytes, version, versionBytes } = this;
    if (nameBytes + versionBytes === 0 || nameBytes > LONGEST_MODEL_NAME || versionBytes > LONGEST_VERSION)
      return;
    bytes[0] = nameBytes;
    for (let i = 0; i < nameBytes; i++) bytes[1 + i] = source[name + i]!;
    for (let i = 0; i < versionBytes; i++) bytes[1 + nameBytes + i] = source[version + i]!;
    this.length = 1 + nameBytes + versionBytes;
  }
}
