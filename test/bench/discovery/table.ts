/** The discovery benchmark as tables, and what it must come to. Pure. */

import type { Spread } from '../relay/results.js';
import type { DiscoveryReport, Times } from './main.js';

const STALL_BAR_MS = 10;
const PICKS_BAR = 1.5;
/** An idle event loop of a quiet machine stays below it. */
const NOISY_MS = 3;

/** One bar, and whether it holds. */
interface Bar {
  readonly what: string;
  readonly found: string;
  readonly bar: string;
  readonly holds: boolean;
}

/** The bars of the report. On a noisy machine stalls are judged by our own CPU time. */
export function barsOf(report: DiscoveryReport): Bar[] {
  const largest = report.sizes.at(-1)!;
  const isQuiet = report.idleStallMs <= NOISY_MS;
  // Where others keep us from the core, the clock measures them; the bar is then held against what was ours.
  const stall = (what: string, { stallMs: clock, ownMs: own }: Times): Bar => ({
    what: `longest stall of the event loop, ${largest.endpoints.toLocaleString('en')} endpoints, ${what}`,
    found: `${ms(clock.median)} (worst ${ms(clock.max)}), of it own CPU ${ms(own.median)}`,
    bar: `at most ${STALL_BAR_MS} ms${isQuiet ? '' : ' of own CPU, as the machine is not quiet'}`,
    holds: (isQuiet ? clock : own).median <= STALL_BAR_MS,
  });
  const picks = report.sizes.map(({ pickNs }) => pickNs);
  const ratio = Math.max(...picks) / Math.min(...picks);
  // One endpoint leaves nothing to choose.
  const choices = report.sizes.filter(({ endpoints }) => endpoints > 1).map(({ pickNs }) => pickNs);
  const amongSeveral = Math.max(...choices) / Math.min(...choices);
  const { live } = report;
  return [
    stall('first answer', largest.first),
    stall('one change', largest.change),
    {
      what: 'a pick, slowest ÷ fastest size',
      found: `${ratio.toFixed(2)} (from 2 endpoints on: ${amongSeveral.toFixed(2)})`,
      bar: `at most ${PICKS_BAR}`,
      holds: ratio <= PICKS_BAR,
    },
    {
      what: 'p99 of live traffic with 1,000 changes a minute',
      found: `${us(live.churnP99Us.median)} (without: ${us(live.quietP99Us.median)}, upper quartile ${us(live.quietUpperUs)})`,
      bar: 'at most the upper quartile without',
      holds: live.problem === '' && live.churnP99Us.median <= live.quietUpperUs,
    },
  ];
}

/** The report as text: tables, then the bars. */
export function renderDiscovery(report: DiscoveryReport): string {
  const { machine } = report;
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GiB, Linux ${machine.kernel}, node ${machine.node}`,
    `medians of ${report.runs} runs (worst in brackets)`,
    `an idle event loop stalls for ${ms(report.idleStallMs)} here${report.idleStallMs > NOISY_MS ? ': THIS MACHINE IS NOT QUIET, and neither stalls nor latencies are ours alone' : ''}`,
    '',
    'one upstream',
    renderSizes(report),
    '',
    '1,000 changes a minute',
    renderChurn(report),
    '',
    renderMany(report),
    renderLive(report),
    '',
    ...barsOf(report).map(
      ({ what, found, bar, holds }) => `  ${holds ? 'pass  ' : 'MISSED'}  ${what}: ${found}; ${bar}`,
    ),
  ].join('\n');
}

function renderSizes({ sizes }: DiscoveryReport): string {
  const times = ({ appliedMs, stallMs, ownMs }: Times) => [
    worst(appliedMs),
    worst(stallMs),
    ownMs.median.toFixed(1),
  ];
  const ofTimes = (what: string) => [`${what}, ms`, 'stall, ms', 'own CPU'];
  return columns([
    ['endpoints', 'answer', ...ofTimes('first'), ...ofTimes('change'), 'memory, MB', 'picks/s'],
    ...sizes.map((s) => [
      s.endpoints.toLocaleString('en'),
      size(s.bytes),
      ...times(s.first),
      ...times(s.change),
      more(s.memoryMb),
      `${(1000 / s.pickNs).toFixed(1)} M`,
    ]),
  ]);
}

function renderChurn({ churn }: DiscoveryReport): string {
  return columns([
    ['endpoints', 'changes', 'reads', 'MB/s', 'CPU of one core', 'stall, ms', 'own CPU', 'resident MB'],
    ...churn.map((c) => [
      c.endpoints.toLocaleString('en'),
      String(c.changes),
      String(c.reads),
      c.mbPerSecond.toFixed(2),
      `${(c.cpu * 100).toFixed(0)} %`,
      c.stallMs.toFixed(1),
      c.ownMs.toFixed(1),
      c.rssMb.toFixed(0),
    ]),
  ]);
}

function renderMany({ many: m }: DiscoveryReport): string {
  return (
    `${m.upstreams} upstreams of ${m.endpointsEach}: all there after ${m.allMs.toFixed(0)} ms, stall ${ms(m.stallMs)} (own CPU ${ms(m.ownMs)}), ` +
    `${more(m.memoryMb)} MB, ${m.readsPerSecondAtRest.toFixed(1)} reads/s at rest, a change in one ${ms(m.changeMs)}`
  );
}

function renderLive({ live: l }: DiscoveryReport): string {
  if (l.problem !== '') return `live traffic: INVALID: ${l.problem}`;
  return (
    `live traffic through a sidecar, ${l.ratePerSecond} calls/s over ${l.endpoints.toLocaleString('en')} endpoints, ${l.calls.toLocaleString('en')} calls, ` +
    `${l.changes.toLocaleString('en')} changes: p50 ${us(l.quietP50Us.median)} without, ${us(l.churnP50Us.median)} with; ` +
    `p99 ${us(l.quietP99Us.median)} without, ${us(l.churnP99Us.median)} with`
  );
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) => `  ${row.map((cell, i) => cell.padStart(widths[i]!)).join('  ')}`.trimEnd())
    .join('\n');
}

function worst({ median, max }: Spread): string {
  return `${median.toFixed(1)} (${max.toFixed(1)})`;
}

function more(mb: number): string {
  return mb < 0 ? mb.toFixed(0) : `+${mb.toFixed(0)}`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function us(value: number): string {
  return `${Math.round(value).toLocaleString('en')} µs`;
}

function size(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
