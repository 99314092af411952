/**
 * The outputs of two large answers, a sample of each: the same rows, or the same runs of numbers, of both, so that comparing
 * them takes a bounded time whatever their size.
 */

import { datatypeInfo, isDatatype } from '../../../proto/datatypes.js';
import { decodeRaw } from '../../../proto/tensors.js';
import type { AnswerLayout, OutputPlace, Span } from '../../cluster/output-check/answer-layout.js';
import { elementsIn, type Output } from '../../cluster/output-check/infer-output.js';
import { RunPlaces } from '../../cluster/output-check/run-places.js';

/** Elements of one answer that are compared. */
const MAX_ELEMENTS = 8 * 1024;
/** Rows up to this length are compared whole, so that their largest class is. */
const MAX_ROW = 1_024;
/** Elements in a row, where rows are longer. */
const RUN = 16;

/** Outputs by their names. */
export type Outputs = ReadonlyMap<string, Output>;

/** What of two answers is compared. Undefined: they hold something that cannot be sampled. Throws where one is no answer. */
export function sampledPair(
  call: AnswerLayout,
  copy: AnswerLayout,
  seed: number,
): [Outputs, Outputs] | undefined {
  const found = new Map(copy.outputs.map((output, i) => [output.name, i]));
  const [ours, theirs] = [new Map<string, Output>(), new Map<string, Output>()];
  for (const [i, expected] of call.outputs.entries()) {
    const j = found.get(expected.name);
    if (j === undefined) {
      ours.set(expected.name, bare(expected));
      continue;
    }
    const other = copy.outputs[j]!;
    if (!isAlike(expected, other)) {
      ours.set(expected.name, bare(expected));
      theirs.set(expected.name, bare(other));
      continue;
    }
    const pick = pickIn(expected, Math.floor(MAX_ELEMENTS / call.outputs.length), seed);
    const [a, b] = [call.raw[i], copy.raw[j]];
    if (pick === undefined || a === undefined || b === undefined) return undefined;
    ours.set(expected.name, gather(call, a, pick));
    theirs.set(expected.name, gather(copy, b, pick));
  }
  return [ours, theirs];
}

function isAlike(one: OutputPlace, other: OutputPlace): boolean {
  return one.datatype === other.datatype && one.shape.join() === other.shape.join();
}

/** Without its elements: for what the two say of themselves. */
function bare({ datatype, shape }: OutputPlace): Output {
  if (!isDatatype(datatype)) throw new RangeError('no datatype');
  return { datatype, shape, data: [] };
}

/** Which elements of an output are compared. */
interface Pick {
  readonly output: Output;
  readonly size: number;
  readonly total: number;
  readonly firsts: readonly number[];
  readonly length: number;
}

/** Undefined: its elements are of no fixed size. */
function pickIn(place: OutputPlace, most: number, seed: number): Pick | undefined {
  const output = bare(place);
  const size = datatypeInfo(output.datatype).array?.BYTES_PER_ELEMENT;
  if (size === undefined) return undefined;
  const total = elementsIn(place.shape);
  const row = place.shape.at(-1) ?? 1;
  const length = Math.max(1, row <= MAX_ROW ? row : RUN);
  const units = Math.floor(total / length);
  const runs = Math.min(units, Math.max(1, Math.floor(most / length)));
  const isRow = length === row;
  // Rows are counted as rows, so that a run never begins inside one.
  const places = isRow
    ? new RunPlaces(units, { runs, length: 1, seed })
    : new RunPlaces(total, { runs, length, seed });
  const firsts = Array.from({ length: runs }, () => places.next() * (isRow ? length : 1));
  return { output, size, total, firsts, length };
}

function gather({ reader }: AnswerLayout, { from, to }: Span, pick: Pick): Output {
  const { output, size, total, firsts, length } = pick;
  if (to - from !== total * size) throw new RangeError('does not fit its shape');
  const bytes = Buffer.allocUnsafe(firsts.length * length * size);
  for (const [i, first] of firsts.entries()) {
    const at = from + first * size;
    reader.copyTo(bytes, i * length * size, at, at + length * size);
  }
  const count = firsts.length * length;
  const data = decodeRaw(bytes, output.datatype, count, 'output');
  return { datatype: output.datatype, shape: [firsts.length, length], data, of: total };
}
