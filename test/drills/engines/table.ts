import { table } from '../../../sidecar/cli/terminal.js';
import { quantile } from '../faults/times.js';
import type { Row } from './rounds.js';

const HEAD = [
  'fault',
  'times',
  'answers',
  'went on elsewhere',
  'lost',
  'wrong',
  'tokens missing',
  'doubled',
  'gap p50',
  'gap p99',
];

/** Rows as text; the problems that were seen follow them. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    ...[row.name, ...[row.strikes, row.answers, row.resumed, row.lost].map(String)],
    ...[row.wrong, row.missing, row.doubled].map(String),
    ...[share(row.gapsMs, 0.5), share(row.gapsMs, 0.99)],
  ]);
  const problems = rows.flatMap(({ name, problems: seen }) => [...seen].map((each) => `${name}: ${each}`));
  return `${[table(HEAD, cells), ...problems].join('\n')}\n`;
}

function share(valuesMs: readonly number[], part: number): string {
  return valuesMs.length === 0 ? '-' : `${Math.round(quantile(valuesMs, part))} ms`;
}
