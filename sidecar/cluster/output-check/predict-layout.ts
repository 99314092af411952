/**
 * Where the parts of an answer of TensorFlow Serving's Predict are: a map of tensors by name
 * (tensorflow_serving/apis/predict.proto, tensorflow/core/framework/tensor.proto). As with ModelInfer, only what stands in
 * front of the numbers is read.
 */

import type { Datatype } from '../../../proto/datatypes.js';
import { type FieldCursor, Wire } from '../../codec/field-cursor.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import { type AnswerLayout, FieldWalk, messageReader, type OutputPlace, type Span } from './answer-layout.js';
import { cut } from './infer-output.js';
import { type Numbers, numbersAt } from './odd-numbers.js';

/** `DataType` of tensorflow/core/framework/types.proto: those whose numbers can be NaN. */
const FRACTIONS: Readonly<Record<number, Datatype>> = { 1: 'FP32', 2: 'FP64', 14: 'BF16', 19: 'FP16' };

/** Fields of `TensorProto`. Half precision in `half_val` has a varint for each number, and is not read. */
const DTYPE = 1;
const SHAPE = 2;
const CONTENT = 4;
const FLOATS = 5;
const DOUBLES = 6;

/** @param body as it was sent: one message of gRPC. Undefined: compressed, or no such message. Never throws. */
export function predictLayoutOf(body: ChunkList): AnswerLayout | undefined {
  try {
    const reader = messageReader(body);
    return reader === undefined ? undefined : new PredictReader(reader).read();
  } catch {
    return undefined;
  }
}

class PredictReader extends FieldWalk {
  read(): AnswerLayout {
    const outputs: OutputPlace[] = [];
    let model = '';
    for (const field = this.cursor(this.message); this.next(field); ) {
      if (field.wire !== Wire.bytes) continue;
      const span = { from: field.start, to: field.end };
      if (field.number === 1) outputs.push(this.entry(span));
      else if (field.number === 2) model = this.modelOf(span);
    }
    return { reader: this.reader, model, outputs, raw: [] };
  }

  /** `ModelSpec`: name and version. */
  private modelOf(span: Span): string {
    let [name, version] = ['', ''];
    for (const field = this.cursor(span); this.next(field); ) {
      if (field.number === 1 && field.wire === Wire.bytes)
        name = this.text({ from: field.start, to: field.end });
      else if (field.number === 2 && field.wire === Wire.bytes)
        for (const inner = this.cursor({ from: field.start, to: field.end }); this.next(inner); )
          if (inner.number === 1) version = String(inner.value);
    }
    return JSON.stringify([cut(name), version]);
  }

  /** One tensor with its name. */
  private entry(span: Span): OutputPlace {
    let name = '';
    let tensor: Span = { from: span.to, to: span.to };
    for (const field = this.cursor(span); this.next(field); ) {
      if (field.wire !== Wire.bytes) continue;
      if (field.number === 1) name = this.text({ from: field.start, to: field.end });
      else if (field.number === 2) tensor = { from: field.start, to: field.end };
    }
    return this.tensor(name, tensor);
  }

  private tensor(name: string, message: Span): OutputPlace {
    let type = 0;
    let shape: number[] = [];
    const found: { number: number; span: Span }[] = [];
    for (const field = this.cursor(message); this.next(field); ) {
      const span = { from: field.start, to: field.end };
      if (field.number === DTYPE) type = field.value;
      else if (field.number === SHAPE) shape = this.shapeOf(span);
      else if (field.number === CONTENT || isNumbers(field)) found.push({ number: field.number, span });
    }
    const datatype = FRACTIONS[type];
    const numbers = found.flatMap(({ number, span }) => numbersIn(datatype, number, span) ?? []);
    return { name, datatype: datatype ?? `type ${type}`, shape, message, contents: undefined, numbers };
  }

  /** `TensorShapeProto`: the size of each dimension. */
  private shapeOf(span: Span): number[] {
    const sizes: number[] = [];
    for (const field = this.cursor(span); this.next(field); ) {
      if (field.number !== 2 || field.wire !== Wire.bytes) continue;
      let size = 0;
      for (const inner = this.cursor({ from: field.start, to: field.end }); this.next(inner); )
        if (inner.number === 1) size = inner.value;
      sizes.push(size);
    }
    return sizes;
  }
}

/** Packed, or one by one as old writers send them. */
function isNumbers({ number, wire }: FieldCursor): boolean {
  if (number === FLOATS) return wire === Wire.bytes || wire === Wire.fixed32;
  return number === DOUBLES && (wire === Wire.bytes || wire === Wire.fixed64);
}

/** `tensor_content` holds numbers of the tensor's type; a server may leave out the last ones where they are all the same. */
function numbersIn(datatype: Datatype | undefined, number: number, { from, to }: Span): Numbers | undefined {
  if (number === FLOATS) return numbersAt('FP32', from, to);
  if (number === DOUBLES) return numbersAt('FP64', from, to);
  return datatype === undefined ? undefined : numbersAt(datatype, from, to);
}
