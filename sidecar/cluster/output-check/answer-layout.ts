/**
 * Where the parts of an answer of ModelInfer are. Only the fields in front of the numbers are read, so that an answer of
 * 4 MiB costs what a small one does.
 */

import { BodyReader } from '../../codec/body-reader.js';
import { FieldCursor, packedNumbers, Wire } from '../../codec/field-cursor.js';
import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import { cut } from './infer-output.js';
import type { Numbers } from './odd-numbers.js';

/** Fields of one answer, those of its tensors included; one with more is not read. */
const MAX_FIELDS = 2_048;
/** Dimensions of one tensor. */
const MAX_DIMENSIONS = 64;
/** Bytes of a name, at most; of a longer one the rest is not read. */
const MAX_NAME_BYTES = 240;

/** Bytes `[from, to)` of a body. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What an output tensor says of itself, and where its message is. */
export interface OutputPlace {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly message: Span;
  /** Its typed contents; undefined: it has none. */
  readonly contents: Span | undefined;
  /** Its numbers that can be NaN, where its form says their places; absent: they are looked for by datatype and shape. */
  readonly numbers?: readonly Numbers[];
}

/** An answer, taken apart. */
export interface AnswerLayout {
  readonly reader: BodyReader;
  /** Name and version. */
  readonly model: string;
  readonly outputs: readonly OutputPlace[];
  /** One for each output in its order, or none where they carry typed contents. */
  readonly raw: readonly Span[];
}

/** @param body as it was sent: one message of gRPC. Undefined: compressed, or no such message. Never throws. */
export function layoutOf(body: ChunkList): AnswerLayout | undefined {
  try {
    const reader = messageReader(body);
    return reader === undefined ? undefined : new LayoutReader(reader).read();
  } catch {
    return undefined;
  }
}

/** Undefined: compressed, or not one whole message. @throws RangeError for a body without a prefix. */
export function messageReader(body: ChunkList): BodyReader | undefined {
  const reader = new BodyReader(body);
  if (reader.byteAt(0) !== 0 || reader.uint32At(1) !== reader.bytes - PREFIX_BYTES) return undefined;
  return reader;
}

/** Walks over the fields of one answer, and counts them. */
export abstract class FieldWalk {
  private fields = 0;

  constructor(protected readonly reader: BodyReader) {}

  /** Where the message is. */
  protected get message(): Span {
    return { from: PREFIX_BYTES, to: this.reader.bytes };
  }

  /** A name, as far as it is read. */
  protected text({ from, to }: Span): string {
    return this.reader.copy(from, Math.min(to, from + MAX_NAME_BYTES)).toString('utf8');
  }

  protected cursor({ from, to }: Span): FieldCursor {
    return new FieldCursor(this.reader, from, to);
  }

  /** Many empty fields would keep the event loop busy: they are counted. @throws RangeError when there are too many. */
  protected next(field: FieldCursor): boolean {
    if (++this.fields > MAX_FIELDS) throw new RangeError('too many fields');
    return field.next();
  }
}

class LayoutReader extends FieldWalk {
  read(): AnswerLayout {
    const { reader } = this;
    const outputs: OutputPlace[] = [];
    const raw: Span[] = [];
    let [model, version] = ['', ''];
    for (const field = this.cursor(this.message); this.next(field); ) {
      if (field.wire !== Wire.bytes) continue;
      const span = { from: field.start, to: field.end };
      if (field.number === 1) model = this.text(span);
      else if (field.number === 2) version = this.text(span);
      else if (field.number === 5) outputs.push(this.output(span));
      else if (field.number === 6) raw.push(span);
    }
    return { reader, model: JSON.stringify([cut(model), cut(version)]), outputs, raw };
  }

  private output(message: Span): OutputPlace {
    let [name, datatype] = ['', ''];
    let shape: number[] = [];
    let contents: Span | undefined;
    for (const field = this.cursor(message); this.next(field); ) {
      const span = { from: field.start, to: field.end };
      if (field.number === 3) shape = [...shape, ...this.dimensions(field, span)];
      else if (field.wire !== Wire.bytes) continue;
      else if (field.number === 1) name = this.text(span);
      else if (field.number === 2) datatype = this.text(span);
      else if (field.number === 5) contents = span;
    }
    return { name, datatype, shape, message, contents };
  }

  /** A dimension may come packed or alone, as the protocol asks of readers. */
  private dimensions({ wire, value }: FieldCursor, { from, to }: Span): number[] {
    if (wire === Wire.varint) return [value];
    if (wire !== Wire.bytes) return [];
    if (to - from > MAX_DIMENSIONS * 10) throw new RangeError('too many dimensions');
    return packedNumbers(this.reader, from, to);
  }
}
