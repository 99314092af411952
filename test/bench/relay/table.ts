/** The report as text: one table per mode, then the bars. */

import type { Report } from './main.js';
import { compared, type Interval, type ModeResult, type Spread } from './results.js';

const HEAD = ['', 'CPU µs', 'min–max', 'calls/s', 'p50 µs', 'p99 µs', 'RSS MB', 'load µs'];

/** The report as text. */
export function renderReport(report: Report): string {
  const { machine } = report;
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GiB, Linux ${machine.kernel}, node ${machine.node}`,
    versions.join(' · '),
    `medians of ${report.runs} interleaved runs; the proxy alone on one core, load and backend on the other`,
    '',
    ...report.modes.flatMap((mode) => [renderMode(mode), '']),
    renderBars(report.modes),
  ].join('\n');
}

/** The table of one mode. */
function renderMode(mode: ModeResult): string {
  const rate = mode.ratePerSecond === undefined ? '' : `, ${orDash(mode.ratePerSecond)} calls/s`;
  const rows = mode.subjects.map((s) => [
    s.name,
    decimals(s.cpuUs.median),
    range(compared(mode, s)),
    Math.round(s.perSecond.median).toLocaleString('en'),
    orDash(s.p50Us.median),
    orDash(s.p99Us.median),
    String(Math.round(s.rssMb.median)),
    decimals(s.loadCpuUs.median),
  ]);
  const problems = mode.subjects.flatMap((s) => s.problems.map((p) => `  INVALID ${s.name}: ${p}`));
  return [`${mode.name}: ${mode.title}${rate}`, columns([HEAD, ...rows]), ...problems].join('\n');
}

const RESULTS = {
  aim: 'pass, aim reached',
  bar: 'pass',
  missed: 'MISSED',
  undecided: 'undecided',
  'not measured': 'not measured',
};
const MEASURES = {
  cpu: 'CPU',
  'paced-p99': 'p99',
  'added-p99': 'added p99',
  'idle-memory': 'MB',
  ready: 'ms',
};

function renderBars(modes: readonly ModeResult[]): string {
  const rows = modes.flatMap((m) => {
    const row = (name: string, result: Pick<ModeResult, 'verdict' | 'ratio' | 'interval'>, cost = '') => [
      name,
      MEASURES[m.compares],
      m.isAbsolute ? 'itself' : (m.bestPeer ?? '–'),
      hundredths(result.ratio),
      intervalText(result.interval),
      String(m.bar),
      String(m.aim),
      RESULTS[result.verdict],
      cost,
    ];
    const more = m.variants.map((v) => row(`  ${v.name}`, v, costText(v)));
    return [row(m.name, m), ...more];
  });
  return columns([['ours ÷ best peer', 'of', 'best peer', 'ratio', '95 %', 'bar', 'aim', '', ''], ...rows]);
}

function costText({ cost, costInterval }: ModeResult['variants'][number]): string {
  if (cost === undefined) return '';
  return `${hundredths(cost)} × outrider (95 %: ${intervalText(costInterval)})`;
}

function intervalText(interval: Interval | undefined): string {
  return interval === undefined ? '' : `${hundredths(interval.from)}–${hundredths(interval.to)}`;
}

function hundredths(value: number | undefined): string {
  if (value === undefined) return '–';
  return value < 20 ? value.toFixed(2) : value.toFixed(0);
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join('\n');
}

function range(spread: Spread): string {
  return `${decimals(spread.min)}–${decimals(spread.max)}`;
}

function decimals(value: number): string {
  if (value < 10) return value.toFixed(2);
  return value < 20 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

function orDash(value: number): string {
  return value === 0 ? '–' : Math.round(value).toLocaleString('en');
}
