/**
 * Two answers of ModelInfer side by side: the same outputs, of the same shape, with the same numbers within a tolerance,
 * and the same largest class in each row. What is said of a difference names outputs and sizes, never their values.
 */

import { type Datatype, fromHalf } from '../../../proto/datatypes.js';
import { layoutOf } from '../../cluster/output-check/answer-layout.js';
import { type Output, outputOf, shown } from '../../cluster/output-check/infer-output.js';
import { unframed } from '../../codec/grpc-message.js';
import { decodeInferResponse } from '../../codec/inference.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import { type Outputs, sampledPair } from './sampled-outputs.js';
import type { Mismatch } from './stats.js';

/** `argmax`: whether the largest classes agree; undefined: there are no classes. */
export type Comparison =
  | { readonly kind: 'same'; readonly argmax?: boolean }
  | { readonly kind: 'differs'; readonly about: Mismatch; readonly why: string; readonly argmax?: boolean }
  /** `encoded`: compressed. `unreadable`: the call's own answer is no answer of ModelInfer. `too-large`: no sample of it can be taken. */
  | { readonly kind: 'not-compared'; readonly why: 'encoded' | 'unreadable' | 'too-large' };

/** Answers up to this size are compared whole, bytes; of larger ones a sample is. */
const WHOLE_BYTES = 64 * 1024 + 5;

/** How two answers are compared. */
export interface ComparisonOptions {
  readonly tolerance: number;
  /** Where in a large answer the sample falls. */
  readonly seed: number;
}

/** The bodies as they were sent, each one message of gRPC; null: nothing was sent. Never throws. */
export function compareResponses(
  call: ChunkList | null,
  copy: ChunkList | null,
  { tolerance, seed }: ComparisonOptions,
): Comparison {
  if (isCompressed(call) || isCompressed(copy)) return { kind: 'not-compared', why: 'encoded' };
  if ((call?.bytes ?? 0) > WHOLE_BYTES) return compareLarge(call!, copy, { tolerance, seed });
  let expected: Outputs;
  try {
    expected = outputsIn(call);
  } catch {
    return { kind: 'not-compared', why: 'unreadable' };
  }
  // One that is so much longer than the call's cannot be like it, but it is read for what it says of itself.
  if ((copy?.bytes ?? 0) > WHOLE_BYTES) return compareLarge(call!, copy, { tolerance, seed });
  try {
    return compare(expected, outputsIn(copy), tolerance);
  } catch {
    return { kind: 'differs', about: 'unreadable', why: UNREADABLE };
  }
}

const UNREADABLE = "the copy's answer cannot be read";

function compareLarge(
  call: ChunkList,
  copy: ChunkList | null,
  { tolerance, seed }: ComparisonOptions,
): Comparison {
  const ours = layoutOf(call);
  if (ours === undefined) return { kind: 'not-compared', why: 'unreadable' };
  const theirs = copy === null ? undefined : layoutOf(copy);
  if (theirs === undefined) return { kind: 'differs', about: 'unreadable', why: UNREADABLE };
  try {
    const pair = sampledPair(ours, theirs, seed);
    return pair === undefined ? { kind: 'not-compared', why: 'too-large' } : compare(...pair, tolerance);
  } catch {
    return { kind: 'differs', about: 'unreadable', why: UNREADABLE };
  }
}

function isCompressed(body: ChunkList | null): boolean {
  if (body === null || body.count === 0) return false;
  const { buffer, start } = body.at(0);
  return buffer[start] === 1;
}

/** The outputs of a whole answer. Throws when it is none. */
function outputsIn(body: ChunkList | null): Outputs {
  const message = unframed(body?.whole() ?? NOTHING);
  if (message === undefined) throw new RangeError('not one message');
  const answer = decodeInferResponse(message);
  return new Map(answer.outputs.map((output, i) => [output.name, outputOf(output, answer, i)]));
}

const NOTHING = Buffer.alloc(0);

function compare(call: Outputs, copy: Outputs, tolerance: number): Comparison {
  let argmax: boolean | undefined;
  let problem: { readonly about: Mismatch; readonly why: string } | undefined;
  for (const [name, expected] of call) {
    const found = copy.get(name);
    const misfit = found === undefined ? 'is missing in the copy' : misfitOf(expected, found);
    if (found === undefined || misfit !== undefined) {
      problem ??= { about: 'shape', why: `output ${shown(name)} ${misfit}` };
      continue;
    }
    const rows = rowsOf(expected, found, tolerance);
    if (rows !== undefined) argmax = (argmax ?? true) && rows.differing === 0;
    const values = valuesOf(expected, found, tolerance);
    if (values === '') continue;
    const classes =
      rows !== undefined && rows.differing > 0
        ? `; ${rows.differing} of ${rows.count} largest classes are others`
        : '';
    problem ??= { about: 'values', why: `output ${shown(name)}: ${values}${classes}` };
  }
  const told = argmax === undefined ? {} : { argmax };
  return problem === undefined ? { kind: 'same', ...told } : { kind: 'differs', ...problem, ...told };
}

function misfitOf(expected: Output, found: Output): string | undefined {
  if (expected.datatype !== found.datatype)
    return `is ${expected.datatype}, and ${found.datatype} in the copy`;
  const [one, other] = [expected.shape.join('×'), found.shape.join('×')];
  return one === other ? undefined : `has ${one || 'no'} elements, and ${other || 'no'} in the copy`;
}

/** How the values differ; empty: they do not. */
function valuesOf(expected: Output, found: Output, tolerance: number): string {
  const count = expected.data.length;
  let differing = 0;
  let largest = 0;
  for (let i = 0; i < count; i++) {
    const [a, b] = [valueAt(expected, i), valueAt(found, i)];
    if (isNear(b, a, tolerance)) continue;
    differing++;
    if (typeof a === 'number' && typeof b === 'number') largest = Math.max(largest, Math.abs(a - b));
  }
  if (differing === 0) return '';
  const by = largest > 0 ? `, by up to ${Number(largest.toPrecision(2))}` : '';
  const looked = expected.of !== undefined && expected.of > count ? ` looked at (it has ${expected.of})` : '';
  return `${differing} of ${count} elements${looked} differ${by}`;
}

/** Rows of classes, and those whose largest one is another; undefined: these are no classes. */
function rowsOf(
  expected: Output,
  found: Output,
  tolerance: number,
): { readonly count: number; readonly differing: number } | undefined {
  const classes = expected.shape.at(-1) ?? 0;
  if (classes < 2 || !FRACTIONS.has(expected.datatype) || expected.data.length === 0) return undefined;
  const count = expected.data.length / classes;
  let differing = 0;
  for (let row = 0; row < count; row++) {
    const best = largestOf(expected, row * classes, classes);
    const other = largestOf(found, row * classes, classes);
    // Two that are alike are both the largest.
    if (best !== other && !isNear(valueAt(expected, other), valueAt(expected, best), tolerance)) differing++;
  }
  return { count, differing };
}

function largestOf(output: Output, from: number, classes: number): number {
  let best = from;
  for (let i = from + 1; i < from + classes; i++) if (valueAt(output, i) > valueAt(output, best)) best = i;
  return best;
}

const FRACTIONS: ReadonlySet<Datatype> = new Set(['FP16', 'BF16', 'FP32', 'FP64']);
const scratch = new DataView(new ArrayBuffer(4));

function valueAt({ datatype, data }: Output, i: number): number | bigint | string {
  const value = data[i]!;
  if (datatype === 'FP16') return fromHalf(value as number);
  if (datatype !== 'BF16') return value;
  scratch.setUint32(0, (value as number) << 16);
  return scratch.getFloat32(0);
}

function isNear(
  found: number | bigint | string,
  expected: number | bigint | string,
  tolerance: number,
): boolean {
  if (found === expected) return true;
  if (typeof found !== 'number' || typeof expected !== 'number') return false;
  if (Number.isNaN(found) && Number.isNaN(expected)) return true;
  return Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected));
}
