import { TAG_LIMIT } from '../../codec/field-cursor.js';
import { HIGHEST_FLAG, PREFIX_BYTES } from '../../codec/grpc-message.js';
import { LONGEST_MODEL_NAME, type ModelLayout } from '../../core/routing/method.js';
import { readModelSpec } from './model-spec.js';
import { SecondName, VERSION } from './second-name.js';

/** Bytes of a message that are looked at (or stepped over) in search of the name. */
export const MAX_SEARCHED_BYTES = 64 * 1024;
/** A longer name is cut to this, bytes, which is none that a model has. */
const CUT_NAME = LONGEST_MODEL_NAME + 1;
/** A longer `model_spec` is not read, bytes: beside the name it has a signature and a label. */
const LONGEST_SPEC = 4 * 1024;

/** How far a message has been read for the name of its model. */
export const Naming = {
  /** What has been seen so far does not say. */
  reading: 0,
  /** `name` says. */
  found: 1,
  /** The whole message names none. */
  absent: 2,
  /** The message is compressed: nothing has been read of it. */
  compressed: 3,
  /** These bytes are no message. */
  malformed: 4,
  /** Too much lies before the name. */
  tooLate: 5,
  /** It was found, and the message names another after it (or its version away from it, where that matters), or goes on with what is no field. */
  twice: 6,
} as const;
export type Naming = (typeof Naming)[keyof typeof Naming];

const Part = { tag: 0, length: 1, number: 2, skip: 3, name: 4 } as const;

/** Field and wire type, as one: number 1, length-delimited. */
const NAME = 8 * 1 + 2;
/** A varint is at most ten bytes. */
const LARGEST_SCALE = 2 ** 63;

/**
 * How much of a message is read: its `beginning`, up to the name and a version right after it; `whole`, for a second name;
 * `versions`, for a second name or a version that is not read, both of which decoders would take.
 */
export type ReadingScope = 'beginning' | 'whole' | 'versions';

/**
 * Reads which model a call names: field 1 of its messages, as the inference protocol and gRPC's health service have it, or the message
 * there (`spec`), which is read whole once it is here.
 * Messages are read as they pass, byte by byte only where fields begin; nothing of them is kept but a name that comes
 * in parts. The first field of that number counts, if it is within the first `MAX_SEARCHED_BYTES` of its message. A
 * version counts where it stands before the name or is the next field, as every known encoder has it. Where it matters that there is no
 * second name or later version, which decoders would take, the rest of each message is stepped through too.
 */
export class NameReader {
  naming: Naming = Naming.reading;
  name = '';
  /** Empty: none is named, or it stands after other fields that follow the name. */
  version = '';
  /** The name has been read, and the next field may be its version. */
  private isNamed = false;
  /** Bytes of the present message, as its prefix says. */
  length = 0;
  /** Bytes of it that have not passed yet. */
  private left = 0;
  private prefixed = 0;
  private flag = 0;
  private part: (typeof Part)[keyof typeof Part] = Part.tag;
  private value = 0;
  private scale = 1;
  private tag = 0;
  /** Bytes of the field under way that are still to come. */
  private rest = 0;
  private partial: Buffer | null = null;
  private partialBytes = 0;
  /** Null: what follows the name does not matter. */
  private readonly second: SecondName | null;

  constructor(
    scope: ReadingScope = 'beginning',
    private readonly layout: ModelLayout = 'fields',
  ) {
    // Beside a spec field 2 is something else, and a second spec is as good as a second name: decoders put them together.
    const of = scope === 'versions' && layout === 'fields' ? 'versions' : 'names';
    this.second = scope === 'beginning' ? null : new SecondName(of);
  }

  /** Whether no byte of a message has come yet. */
  get isEmpty(): boolean {
    return this.prefixed === 0;
  }

  /**
   * Reads on in a body. Stops as soon as `naming` is no longer `reading`, and tells where; called again, it steps over
   * what is left of that message and begins the next one.
   */
  feed(bytes: Buffer, start: number, end: number): number {
    let at = start;
    if (this.naming !== Naming.reading) {
      at = this.pass(bytes, at, end);
      if (this.left > 0 || at === end || this.naming === Naming.twice) return at;
      this.begin();
    }
    while (at < end && this.naming === Naming.reading)
      at = this.prefixed < PREFIX_BYTES ? this.readPrefix(bytes, at) : this.readPart(bytes, at, end);
    return at;
  }

  /** Whether bytes of the present message are still to come. */
  get isWithin(): boolean {
    return this.left > 0;
  }

  /** Steps over what is left of a message, as far as it is here, and tells where that ends. */
  pass(bytes: Buffer, start: number, end: number): number {
    const { second } = this;
    const stop = start + Math.min(this.left, end - start);
    let at = stop;
    if (second !== null && this.naming === Naming.found) {
      at = second.feed(bytes, start, stop);
      if (second.isFound || (this.left === at - start && !second.isBetweenFields)) this.naming = Naming.twice;
    }
    this.left -= at - start;
    return at;
  }

  /** Reads the beginning of a message that came without a prefix; `isWhole`: it is all of the message. */
  feedMessage(bytes: Buffer, isWhole: boolean): void {
    this.begin();
    this.prefixed = PREFIX_BYTES;
    this.length = isWhole ? bytes.length : Number.MAX_SAFE_INTEGER;
    this.left = this.length;
    if (this.left === 0) this.naming = Naming.absent;
    let at = 0;
    while (at < bytes.length && this.naming === Naming.reading) at = this.readPart(bytes, at, bytes.length);
    if (this.naming === Naming.found) this.pass(bytes, at, bytes.length);
  }

  /** The name was found, and what follows is no field. */
  private get foundThough(): Naming {
    return this.second === null ? Naming.found : Naming.twice;
  }

  /** No more bytes can be read: a name without what follows it counts. */
  end(): void {
    if (this.isNamed && this.naming === Naming.reading) this.naming = Naming.found;
  }

  private begin(): void {
    this.naming = Naming.reading;
    this.name = '';
    this.version = '';
    this.isNamed = false;
    this.prefixed = 0;
    this.length = 0;
    this.partialBytes = 0;
    this.second?.begin();
    this.expect(Part.tag);
  }

  private expect(part: (typeof Part)[keyof typeof Part]): void {
    this.part = part;
    this.value = 0;
    this.scale = 1;
  }

  private readPrefix(bytes: Buffer, at: number): number {
    const byte = bytes[at]!;
    if (this.prefixed === 0) this.flag = byte;
    else this.length = this.length * 256 + byte;
    this.prefixed++;
    if (this.prefixed === PREFIX_BYTES) {
      this.left = this.length;
      if (this.flag > HIGHEST_FLAG) this.naming = Naming.malformed;
      else if (this.flag === 1) this.naming = Naming.compressed;
      else if (this.left === 0) this.naming = Naming.absent;
    }
    return at + 1;
  }

  private readPart(bytes: Buffer, at: number, end: number): number {
    const { part } = this;
    if (part === Part.name) return this.readName(bytes, at, end);
    if (part === Part.skip) {
      const n = Math.min(this.rest, end - at);
      this.rest -= n;
      this.left -= n;
      if (this.rest === 0) this.endField();
      return at + n;
    }
    const byte = bytes[at]!;
    this.left--;
    this.value += (byte & 0x7f) * this.scale;
    if (byte >= 0x80) {
      if (this.left === 0 || this.scale >= LARGEST_SCALE)
        this.naming = this.isNamed ? this.foundThough : Naming.malformed;
      this.scale *= 128;
    } else if (part === Part.tag) this.onTag(this.value);
    else if (part === Part.length) this.onLength(this.value);
    else this.endField();
    return at + 1;
  }

  private onTag(tag: number): void {
    this.tag = tag;
    if (this.isNamed) {
      if (tag === VERSION && this.left > 0) return this.expect(Part.length);
      this.second?.onTag(tag);
      this.naming = this.second?.isFound === true ? Naming.twice : Naming.found;
      return;
    }
    const type = tag % 8; // `&` takes 32 bits
    if (tag < 8 || tag >= TAG_LIMIT) this.naming = Naming.malformed;
    else if (type === 0) this.expect(Part.number);
    else if (type === 1) this.skip(8);
    else if (type === 2) this.expect(Part.length);
    else if (type === 5) this.skip(4);
    else this.naming = Naming.malformed;
    if (this.left === 0 && this.naming === Naming.reading) this.naming = Naming.malformed;
  }

  private onLength(length: number): void {
    if (this.isNamed) {
      // Of two versions decoders take the last.
      this.version = '';
      if (length > this.left) this.naming = this.foundThough;
      else if (length === 0) this.naming = Naming.found;
      else this.expectText(length);
      return;
    }
    if (this.tag === VERSION && this.layout === 'fields') return this.onEarlyVersion(length);
    if (this.tag !== NAME) return this.skip(length);
    if (length > this.left) this.naming = Naming.malformed;
    else if (length === 0) this.naming = Naming.found;
    else if (this.layout === 'spec' && length > LONGEST_SPEC) this.naming = Naming.tooLate;
    else this.expectText(length);
  }

  /** Before the name, where protobuf permits it; one that is longer than any is stepped over, and none of that is known. */
  private onEarlyVersion(length: number): void {
    this.version = '';
    if (length === 0 || length >= this.left || length > MAX_SEARCHED_BYTES) return this.skip(length);
    this.expectText(length);
  }

  private expectText(bytes: number): void {
    this.rest = bytes;
    this.partialBytes = 0;
    this.expect(Part.name);
  }

  private skip(bytes: number): void {
    if (bytes > this.left) this.naming = Naming.malformed;
    else if (bytes === this.left) this.absent();
    else if (this.length - this.left + bytes > MAX_SEARCHED_BYTES) this.naming = Naming.tooLate;
    else if (bytes === 0) this.endField();
    else {
      this.rest = bytes;
      this.expect(Part.skip);
    }
  }

  private absent(): void {
    this.version = '';
    this.naming = Naming.absent;
  }

  private endField(): void {
    this.expect(Part.tag);
    if (this.left === 0) this.absent();
    else if (this.length - this.left > MAX_SEARCHED_BYTES) this.naming = Naming.tooLate;
  }

  private readName(bytes: Buffer, at: number, end: number): number {
    const n = Math.min(this.rest, end - at);
    const isWhole = this.partialBytes === 0 && n === this.rest;
    this.rest -= n;
    this.left -= n;
    const most = this.layout === 'spec' ? LONGEST_SPEC : CUT_NAME;
    if (isWhole) this.onBytes(bytes, at, at + Math.min(n, most));
    else {
      this.partial ??= Buffer.allocUnsafeSlow(most);
      const stop = at + Math.min(n, most - this.partialBytes);
      this.partialBytes += bytes.copy(this.partial, this.partialBytes, at, stop);
      if (this.rest === 0) this.onBytes(this.partial, 0, this.partialBytes);
    }
    return at + n;
  }

  /** All bytes of a text or of the spec are here, as far as they count. */
  private onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.layout === 'fields') return this.onText(bytes.toString('utf8', start, end));
    const spec = readModelSpec(bytes, start, end);
    this.naming = spec === null ? Naming.malformed : Naming.found;
    if (spec === null) return;
    this.name = spec.name;
    this.version = spec.version;
  }

  /** The name is read, or the version before or after it. */
  private onText(text: string): void {
    if (this.isNamed || this.tag === VERSION) this.version = text;
    else this.name = text;
    if (!this.isNamed && this.tag === VERSION) return this.endField();
    if (this.isNamed || this.left === 0) this.naming = Naming.found;
    else {
      this.isNamed = true;
      this.expect(Part.tag);
    }
  }
}
