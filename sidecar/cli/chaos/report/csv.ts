import { COLUMNS } from './figures/columns.js';
import type { ArmFigures } from './figures/figures.js';

/** The figures as a CSV file (RFC 4180, lines end with LF): a row for each drill and arm; an empty field is a figure that does not exist. */
export function csvOf(figures: readonly ArmFigures[]): string {
  const header = ['drill', 'arm', 'runs', ...COLUMNS.map(({ key }) => key)];
  const rows = figures.map((one) => [
    one.drill,
    one.arm,
    one.runs,
    ...COLUMNS.map(({ value }) => rounded(value(one))),
  ]);
  return [header, ...rows].map((row) => `${row.map(field).join(',')}\n`).join('');
}

/** Six decimals: shares need more than times. */
function rounded(value: number | 'never' | undefined): number | string {
  if (value === undefined) return '';
  return value === 'never' ? value : Math.round(value * 1e6) / 1e6;
}

/** In quotes where it holds a comma, a quote or a line break. */
function field(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
