/**
 * One answer, taken apart, looked at for what no answer may be: numbers that are none, tensors that do not fit their shape.
 * Of a large answer a sample is read (odd-numbers.ts), so that it takes no longer than a fifth of a millisecond.
 */

import { type Datatype, datatypeInfo, type Elements, isDatatype } from '../../../proto/datatypes.js';
import { decodeRaw, fromContents, TensorError } from '../../../proto/tensors.js';
import type { BodyReader } from '../../codec/body-reader.js';
import { FieldCursor, Wire } from '../../codec/field-cursor.js';
import { decodeTensor } from '../../codec/inference.js';
import type { InspectedResponse } from '../../core/outlier/invalid-output.js';
import type { AnswerLayout, OutputPlace, Span } from './answer-layout.js';
import { cut, elementsIn, shown } from './infer-output.js';
import { MAX_RUNS, type Numbers, numbersAt, oddAmong, sampleOdd } from './odd-numbers.js';

/** Tensors up to this size are decoded, bytes; of a larger one that holds no fractions only the size is checked. */
const DECODED_BYTES = 4 * 1024;
/** Texts of a tensor that are stepped over to find its end. */
const MAX_TEXTS = 1_024;
/** Fields of typed contents that hold fractions (proto/inference.proto). */
const FRACTION_FIELDS: Partial<Record<Datatype, number>> = { FP32: 6, FP64: 7 };

/** What was found in one answer. */
export interface Inspection extends InspectedResponse {
  /** Searches the numbers that were not in the sample; null: all were read. */
  readonly rest: RestSearch | null;
}

/** A search of all of an answer, in steps that keep nothing waiting. */
export interface RestSearch {
  /** True: something in it is odd; false: nothing is, and this was the last step; undefined: there is more. */
  step(): boolean | undefined;
}

/** @param layout undefined: compressed, or no such message. Never throws. */
export function inspectLayout(layout: AnswerLayout | undefined, seed: number): Inspection | undefined {
  if (layout === undefined) return undefined;
  try {
    return new Inspector(layout, seed).inspect();
  } catch {
    return undefined;
  }
}

/** Looks at the outputs of one answer, one after the other. */
class Inspector {
  /** Outputs of which a sample was read. */
  private readonly sampled: Numbers[] = [];

  constructor(
    private readonly layout: AnswerLayout,
    private readonly seed: number,
  ) {}

  inspect(): Inspection {
    const { model, outputs, reader } = this.layout;
    const flaws = outputs.map((output, i) => this.flawOf(output, i));
    return {
      model,
      shape: outputs.map(formOf).sort().join(', '),
      flaw: flaws.find((flaw) => flaw !== '') ?? '',
      rest: this.sampled.length === 0 ? null : new OddSearch(reader, this.sampled),
    };
  }

  /** What is wrong with an output, in one sentence; empty: nothing. */
  private flawOf(output: OutputPlace, i: number): string {
    try {
      const { datatype } = output;
      if (output.numbers !== undefined) return this.lookAtEach(output, output.numbers);
      if (!isDatatype(datatype)) throw new TensorError('has no datatype that there is');
      const count = elementsIn(output.shape);
      const raw = this.layout.raw[i];
      const numbers =
        raw === undefined
          ? this.numbersInContents(output, datatype, count)
          : this.numbersInRaw(raw, datatype, count);
      return numbers === undefined ? '' : this.lookAt(output, numbers);
    } catch (error) {
      if (!(error instanceof TensorError)) throw error;
      return `output ${shown(output.name)} ${error.message}`;
    }
  }

  /** Undefined: there is nothing in it that could be NaN. Throws a TensorError where it does not fit its shape. */
  private numbersInRaw(span: Span, datatype: Datatype, count: number): Numbers | undefined {
    const { reader } = this.layout;
    const { from, to } = span;
    const size = datatypeInfo(datatype).array?.BYTES_PER_ELEMENT;
    if (size !== undefined && to - from !== size * count) throw new TensorError(MISFIT);
    const numbers = numbersAt(datatype, from, to);
    if (numbers !== undefined) return numbers;
    if (to - from <= DECODED_BYTES)
      fitting(() => decodeRaw(reader.copy(from, to), datatype, count, 'output'));
    else if (size === undefined) requireTexts(reader, span, count);
    return undefined;
  }

  private numbersInContents(
    { message, contents }: OutputPlace,
    datatype: Datatype,
    count: number,
  ): Numbers | undefined {
    const { reader } = this.layout;
    const packed = contents === undefined ? undefined : packedFractions(reader, contents, datatype);
    if (packed !== undefined) {
      const numbers = numbersAt(datatype, packed.from, packed.to)!;
      if (packed.to - packed.from !== count * numbers.size) throw new TensorError(MISFIT);
      return numbers;
    }
    const { from, to } = message;
    if (to - from > DECODED_BYTES) return undefined;
    const tensor = decodeTensor(reader.copy(from, to));
    const data = fitting(() => fromContents(tensor.contents ?? {}, datatype, count, 'output'));
    if (
      FRACTION_FIELDS[datatype] !== undefined &&
      (data as Float64Array).some((value) => !Number.isFinite(value))
    )
      throw new TensorError('has numbers that are NaN or infinite');
    return undefined;
  }

  private lookAtEach(output: OutputPlace, all: readonly Numbers[]): string {
    for (const numbers of all) {
      const flaw = this.lookAt(output, numbers);
      if (flaw !== '') return flaw;
    }
    return '';
  }

  /** Each output has its part of the runs, so that a small one beside a large one is not left out. */
  private lookAt(output: OutputPlace, numbers: Numbers): string {
    const { reader, outputs } = this.layout;
    const runs = Math.max(1, Math.floor(MAX_RUNS / outputs.length));
    const { odd, seen } = sampleOdd(reader, numbers, runs, this.seed);
    if (seen < numbers.count) this.sampled.push(numbers);
    if (odd === 0) return '';
    const of =
      seen < numbers.count ? `${seen} numbers looked at (it has ${numbers.count})` : `${seen} numbers`;
    return `output ${shown(output.name)}: ${odd} of ${of} are NaN or infinite`;
  }
}

const MISFIT = 'does not fit its shape';

/** The first dimension is the batch's, and as long as the request asks. */
function formOf({ name, datatype, shape }: OutputPlace): string {
  return `${shown(name)} ${cut(datatype)}[${shape.slice(1).join('×')}]`;
}

/** Decodes a tensor. What the decoder says of it is for its sender: here it is one flaw. */
function fitting(decode: () => Elements): Elements {
  try {
    return decode();
  } catch (error) {
    throw error instanceof TensorError ? new TensorError(MISFIT) : error;
  }
}

/** Whether the lengths in front of the texts lead to the end of the tensor; with very many it is not looked at. */
function requireTexts(reader: BodyReader, { from, to }: Span, count: number): void {
  if (count > MAX_TEXTS) return;
  let at = from;
  for (let i = 0; i < count; i++) {
    if (at + 4 > to) throw new TensorError(MISFIT);
    at += 4 + reader.copy(at, at + 4).readUInt32LE(0);
  }
  if (at !== to) throw new TensorError(MISFIT);
}

/** Where the fractions are, if that is all the contents hold; undefined: they are something else. */
function packedFractions(reader: BodyReader, { from, to }: Span, datatype: Datatype): Span | undefined {
  const field = new FieldCursor(reader, from, to);
  if (!field.next() || field.wire !== Wire.bytes || field.number !== FRACTION_FIELDS[datatype])
    return undefined;
  return field.end === to ? { from: field.start, to } : undefined;
}

/** Numbers that are read in one step of a search: below a fifth of a millisecond. */
const STEP = 32 * 1024;

/** Searches all numbers of an answer for one that is NaN or infinite, a step at a time. */
class OddSearch implements RestSearch {
  private output = 0;
  private at = 0;

  constructor(
    private readonly reader: BodyReader,
    private readonly outputs: readonly Numbers[],
  ) {}

  /** Reads some more numbers. True: one of them is odd; false: none is, and these were the last; undefined: there are more. */
  step(): boolean | undefined {
    const numbers = this.outputs[this.output]!;
    const last = Math.min(numbers.count, this.at + STEP);
    if (oddAmong(this.reader, numbers, this.at, last) > 0) return true;
    this.at = last;
    if (last === numbers.count) {
      this.output++;
      this.at = 0;
    }
    return this.output < this.outputs.length ? undefined : false;
  }
}
