import { TAG_LIMIT } from '../../codec/field-cursor.js';

/** Field 1, length-delimited: as `model-name.ts` reads it. */
const NAME = 8 * 1 + 2;
/** Field 2, length-delimited: the version, which stands right after the name in every known encoder's messages. */
export const VERSION = 8 * 2 + 2;
/** A varint is at most ten bytes. */
const LARGEST_SCALE = 2 ** 63;

const Part = { tag: 0, length: 1, number: 2, skip: 3 } as const;

/**
 * Whether a message names its model once more after the field that was read for it, or, where that matters, a version. Decoders of
 * protobuf take the last field of a number, so that a message with two names is for the second one. Fields are stepped over by their lengths: what a large
 * tensor costs is one addition for each read of it.
 */
export class SecondName {
  /** A second name (or version) has come, or what is no field, after which nothing is known. */
  isFound = false;
  private part: (typeof Part)[keyof typeof Part] = Part.tag;
  private value = 0;
  private scale = 1;
  /** Bytes of the field under way that are still to come. */
  private rest = 0;

  private readonly findsVersions: boolean;

  /** @param of what: second `names`, or `versions` beside them, which were not read where they come here. */
  constructor(of: 'names' | 'versions' = 'names') {
    this.findsVersions = of === 'versions';
  }

  /** A message begins, or goes on, at the tag of a field. */
  begin(): void {
    this.isFound = false;
    this.expect(Part.tag);
  }

  /** The tag of a field, which has been read already. */
  onTag(tag: number): void {
    const type = tag % 8;
    if (tag < 8 || tag === NAME || tag >= TAG_LIMIT) this.isFound = true;
    else if (tag === VERSION && this.findsVersions) this.isFound = true;
    else if (type === 0) this.expect(Part.number);
    else if (type === 1) this.skip(8);
    else if (type === 2) this.expect(Part.length);
    else if (type === 5) this.skip(4);
    else this.isFound = true;
  }

  /** Reads on in bytes of one message. Returns where it stopped: at `end`, or as soon as `isFound`. */
  feed(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.isFound) {
      if (this.part === Part.skip) {
        const n = Math.min(this.rest, end - at);
        this.rest -= n;
        at += n;
        if (this.rest === 0) this.expect(Part.tag);
      } else this.onByte(bytes[at++]!);
    }
    return at;
  }

  /** Whether a message may end here. */
  get isBetweenFields(): boolean {
    return this.part === Part.tag && this.scale === 1;
  }

  private onByte(byte: number): void {
    this.value += (byte & 0x7f) * this.scale;
    if (byte >= 0x80) {
      if (this.scale >= LARGEST_SCALE) this.isFound = true;
      this.scale *= 128;
    } else if (this.part === Part.tag) this.onTag(this.value);
    else if (this.part === Part.length) this.skip(this.value);
    else this.expect(Part.tag);
  }

  private skip(bytes: number): void {
    this.rest = bytes;
    this.expect(bytes === 0 ? Part.tag : Part.skip);
  }

  private expect(part: (typeof Part)[keyof typeof Part]): void {
    this.part = part;
    this.value = 0;
    this.scale = 1;
  }
}
