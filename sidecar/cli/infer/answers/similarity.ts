import { table } from '../../terminal.js';
import { numericRows, type Output } from '../output.js';

/** Longer names are cut. */
const NAME_WIDTH = 40;
const SHOWN_NUMBERS = 6;

/** Embeddings, one for each row. */
export interface Similarity {
  readonly dimensions: number;
  /** Of the first row. */
  readonly first: readonly number[];
  /** Cosine of each row with each: 1 the same direction, 0 none in common. */
  readonly cosines: readonly (readonly number[])[];
}

/** Undefined where no output holds a row of numbers for each text. */
export function similarityOf(outputs: readonly Output[]): Similarity | undefined {
  const rows = numericRows(outputs, 2);
  if (rows === undefined || rows.length === 0) return undefined;
  const lengths = rows.map((row) => Math.sqrt(dot(row, row)));
  const cosines = rows.map((a, i) =>
    rows.map((b, j) => {
      const product = lengths[i]! * lengths[j]!;
      return product === 0 ? 0 : dot(a, b) / product;
    }),
  );
  return { dimensions: rows[0]!.length, first: rows[0]!, cosines };
}

/** One text: the first numbers. Several: a table of how similar they are. */
export function similarityText({ dimensions, first, cosines }: Similarity, names: readonly string[]): string {
  if (cosines.length === 1) {
    const shown = first.slice(0, SHOWN_NUMBERS).map((v) => Number(v.toPrecision(4)));
    return `${dimensions} numbers: ${shown.join(' ')} … (several --input show how similar they are)`;
  }
  const rows = cosines.map((row, i) => [
    String(i + 1),
    ...row.map((cosine) => cosine.toFixed(2)),
    cut(names[i] ?? ''),
  ]);
  return table(['', ...rows.map(([number]) => number!), ''], rows);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0);
}

function cut(name: string): string {
  const line = name.replaceAll(/\s+/g, ' ');
  return line.length > NAME_WIDTH ? `${line.slice(0, NAME_WIDTH - 1)}…` : line;
}
