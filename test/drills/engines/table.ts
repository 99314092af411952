import { quantile } from '../faults/times.js';
import type { Row } from './rounds.js';

const HEADS = [
  'fault',
  'times',
  'answers',
  'went on elsewhere',
  'lost',
  'wrong',
  'gap p50',
  'gap p99',
] as const;

/** Rows as text; the problems that were seen follow them. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => [
    ...[row.name, String(row.strikes), String(row.answers), String(row.resumed)],
    ...[String(row.lost), String(row.wrong), share(row.gapsMs, 0.5), share(row.gapsMs, 0.99)],
  ]);
  const widths = HEADS.map((head, i) => Math.max(head.length, ...lines.map((line) => line[i]!.length)));
  const text = [[...HEADS], ...lines].map((line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
  const problems = rows.flatMap(({ name, problems: seen }) => [...seen].map((each) => `${name}: ${each}`));
  return `${[...text, ...problems].join('\n')}\n`;
}

function share(valuesMs: readonly number[], part: number): string {
  return valuesMs.length === 0 ? '–' : `${Math.round(quantile(valuesMs, part))} ms`;
}
