/** Results as text: the table, and beneath it every promise with what was found. */

import { type Palette, table } from '../../../sidecar/cli/terminal.js';
import { isKept, type Report } from './run.js';

const OF_LOAD = ['sent', 'ok', 'failed', 'p99', 'slowest'];

export function renderFaults(report: Report, palette: Palette): string {
  const { columns } = report;
  const rows = report.rows.map((result) => {
    const { sent, ok, failed, p99Ms, slowestMs } = result.load;
    const ofLoad = [
      ...[sent, ok, failed].map(String),
      ...[p99Ms, slowestMs].map((ms) => `${ms.toFixed(0)} ms`),
    ];
    return [
      result.row,
      ...(columns.length === 0 ? ofLoad : columns.map((name) => result.figures[name] ?? '–')),
      `${(result.tookMs / 1_000).toFixed(1)} s`,
      isKept(result) ? palette.green('pass') : palette.red('MISSED'),
    ];
  });
  const runs = report.runs === 1 ? 'one run' : `worst of ${report.runs} runs`;
  return [
    palette.bold(`${report.title} (${report.pace}, ${runs})`),
    '',
    table(['', ...(columns.length === 0 ? OF_LOAD : columns), 'took', ''], rows, palette),
    '',
    ...report.rows.flatMap((result) => [...details(result, palette), '']),
    conclusion(report),
  ].join('\n');
}

function details(
  { row, fault, figures, criteria, disturbed }: Report['rows'][number],
  palette: Palette,
): string[] {
  const numbers = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  return [
    `${palette.bold(row)}: ${fault}`,
    ...(numbers.length === 0 ? [] : [`    ${numbers.join(', ')}`]),
    ...(disturbed === undefined ? [] : [`    disturbed by the machine: ${disturbed}`]),
    ...criteria.map(({ promise, kept, found }) => {
      const line = `  ${kept ? 'kept  ' : 'MISSED'} ${promise}: ${found}`;
      return kept ? line : palette.red(line);
    }),
  ];
}

function conclusion({ suite, rows }: Report): string {
  const missed = rows.filter((result) => !isKept(result)).map(({ row }) => row);
  if (missed.length === 0) return `faults ${suite}: ${rows.length} rows, every promise kept`;
  return `faults ${suite}: ${rows.length} rows, promises missed in ${missed.join(', ')}`;
}
