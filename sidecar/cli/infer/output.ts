import { type Elements, fromHalf, isDatatype } from '../../../proto/datatypes.js';
import type { ModelInferResponse, ModelMetadataResponse } from '../../../proto/messages.js';
import { decodeRaw, fromContents } from '../../../proto/tensors.js';
import { attempt } from '../../runtime/attempt.js';
import { CommandFailure } from '../failure.js';

/** One output tensor. */
export interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

/** The best class of one row. */
export interface Guess {
  readonly label: string;
  /** A probability when the row sums to 1; else the raw score. */
  readonly score: number;
  readonly isProbability: boolean;
}

const SHOWN_ELEMENTS = 64;

/** The answers of a sequence as one: outputs of the same name one after the other, along their first dimension. */
export function joined(answers: readonly (readonly Output[])[]): readonly Output[] {
  const [first = []] = answers;
  if (answers.length < 2) return first;
  return first.map((output, i) => {
    const data = answers.flatMap((answer) => answer[i]?.data ?? []);
    const [, ...inner] = output.shape;
    const size = inner.reduce((product, d) => product * d, 1);
    return { ...output, shape: [data.length / Math.max(1, size), ...inner], data };
  });
}

/** The first output that is all numbers and has this rank at least, as rows of its last dimension. */
export function numericRows(outputs: readonly Output[], rank: number): number[][] | undefined {
  const output = outputs.find(({ shape, data }) => shape.length >= rank && data.every(isNumber));
  if (output === undefined) return undefined;
  const size = output.shape.at(-1) ?? 1;
  const data = output.data as readonly number[];
  return Array.from({ length: size === 0 ? 0 : data.length / size }, (_, row) =>
    data.slice(row * size, (row + 1) * size),
  );
}

/** Decodes the outputs of an answer. @throws CommandFailure for an unknown datatype. */
export function outputsOf(response: ModelInferResponse): Output[] {
  return response.outputs.map((output, i) => {
    const { name, datatype } = output;
    const shape = output.shape.map(Number);
    if (!isDatatype(datatype))
      throw new CommandFailure(`output '${name}' has the unknown datatype ${datatype}`);
    const count = shape.reduce((product, d) => product * d, 1);
    const raw = response.raw_output_contents[i];
    const where = `output '${name}'`;
    const data =
      raw === undefined
        ? fromContents(output.contents ?? {}, datatype, count, where)
        : decodeRaw(raw, datatype, count, where);
    return { name, datatype, shape, data: plain(data, datatype) };
  });
}

/**
 * The best class of each row, for a model that names its classes in the metadata and scores them in
 * one output.
 */
export function guessesOf(outputs: readonly Output[], metadata: ModelMetadataResponse): Guess[] {
  const labels = labelsOf(metadata);
  const scores = outputs
    .filter((o) => labels.length > 0 && o.shape.at(-1) === labels.length && o.data.every(isNumber))
    // As many numbers as labels may also be one number for each row: what has rows and columns goes first.
    .sort((a, b) => b.shape.length - a.shape.length)[0];
  if (scores === undefined) return [];
  const data = scores.data as readonly number[];
  const guesses: Guess[] = [];
  for (let start = 0; start < data.length; start += labels.length) {
    const row = data.slice(start, start + labels.length);
    const score = Math.max(...row);
    const sum = row.reduce((a, b) => a + b, 0);
    const isProbability = row.every((v) => v >= 0) && Math.abs(sum - 1) < 0.01;
    const isUndecided = row.length > 1 && row.every((v) => v === score);
    const label = isUndecided
      ? 'undecided: all scores are equal'
      : (labels[row.indexOf(score)] ?? 'no label: the scores are not numbers');
    guesses.push({ label, score, isProbability });
  }
  return guesses;
}

/** The best classes, a line for each row, with the name of the row where there are several. */
export function guessText(guesses: readonly Guess[], rowNames: readonly string[]): string {
  return guesses
    .map(({ label, score, isProbability }, row) => {
      const certainty = isProbability
        ? `(${(100 * score).toFixed(1)} %)`
        : `(score ${Number(score.toPrecision(4))})`;
      const name = guesses.length > 1 && rowNames.length === guesses.length ? `  ${rowNames[row]}` : '';
      return `${label}  ${certainty}${name}`.trimEnd();
    })
    .join('\n');
}

/** The tensors as they are, a line for each. */
export function tensorText(outputs: readonly Output[]): string {
  return outputs
    .map(({ name, datatype, shape, data }) => {
      const shown = data
        .slice(0, SHOWN_ELEMENTS)
        .map((v) => (isNumber(v) ? String(Number(v.toPrecision(6))) : v));
      const more =
        data.length > shown.length ? ` … (${data.length - shown.length} more; --json prints all)` : '';
      return `${name} ${datatype} [${shape.join(',')}]: ${shown.join(' ')}${more}`;
    })
    .join('\n');
}

/** Numbers that JSON cannot hold (64-bit integers beyond 2^53, NaN, infinities) become strings. */
function plain(data: Elements, datatype: string): (number | string)[] {
  if (Array.isArray(data)) return data;
  return Array.from(data as ArrayLike<number | bigint>, (v) => {
    if (typeof v === 'bigint') return Number.isSafeInteger(Number(v)) ? Number(v) : String(v);
    const value = datatype === 'FP16' ? fromHalf(v) : v;
    return Number.isFinite(value) ? value : String(value);
  });
}

function labelsOf(metadata: ModelMetadataResponse): string[] {
  const labels: unknown = attempt(() => JSON.parse(metadata.properties['labels'] ?? '[]'), []);
  return Array.isArray(labels) ? labels.map(String) : [];
}

/** Whether an element is a number, and no text in its place. */
export function isNumber(value: number | string): value is number {
  return typeof value === 'number';
}
