/**
 * What load reports bring to callers that share replicas: in simulated time, between what each caller knows itself and perfect
 * knowledge, and with real sidecars, with reports and without in turn, on the same calls.
 */

import {
  EIGHT_CALLERS,
  gapClosed,
  type Knowledge,
  shareReplicas,
} from '../../kit/scenario/shared-replicas.js';
import { type PairOfRuns, runPairs } from './processes.js';

/** The bar of the design. */
const CLOSED_BAR = 0.6;
const SEEDS = [1, 2, 3, 4, 5];

/** One setup of the simulation: p99 of the wait, ms, in the mean of the seeds. */
interface SimulatedRow {
  readonly concurrency: number;
  readonly utilization: number;
  readonly ownMs: number;
  readonly reportedMs: number;
  readonly perfectMs: number;
  readonly closed: number;
}

/** What the benchmark found. */
export interface BalancingReport {
  readonly simulated: readonly SimulatedRow[];
  readonly pairs: readonly PairOfRuns[];
  /** Pairs in which the calls with reports waited less, in the mean. */
  readonly improved: number;
}

/** Measures both. */
export async function benchBalancing(
  { quick, runs }: { readonly quick: boolean; readonly runs: number },
  say: (line: string) => void,
): Promise<BalancingReport> {
  const forMs = quick ? 200_000 : 1_500_000;
  const simulated = [1, 2, 4].flatMap((concurrency) =>
    [0.7, 0.8].map((utilization) => simulate(concurrency, utilization, forMs)),
  );
  say('with sidecars');
  const pairs = await runPairs({ pairs: quick ? 1 : runs, forMs: quick ? 3_000 : 10_000 }, say);
  const improved = pairs.filter(({ reported, own }) => reported.meanMs < own.meanMs).length;
  return { simulated, pairs, improved };
}

function simulate(concurrency: number, utilization: number, forMs: number): SimulatedRow {
  const p99Ms = (knowledge: Knowledge): number => {
    const plan = { ...EIGHT_CALLERS, concurrency, utilization, forMs, knowledge };
    return SEEDS.reduce((sum, seed) => sum + shareReplicas({ ...plan, seed }).p99Ms, 0) / SEEDS.length;
  };
  const [ownMs, reportedMs, perfectMs] = [p99Ms('own'), p99Ms('reported'), p99Ms('perfect')];
  return {
    concurrency,
    utilization,
    ownMs,
    reportedMs,
    perfectMs,
    closed: gapClosed(ownMs, reportedMs, perfectMs),
  };
}

/** Whether the gap is closed as far as it is to be, and all pairs but one show it (sign test of nine: 2 %). */
export function meetsBars({ simulated, pairs, improved }: BalancingReport): boolean {
  return simulated.every(({ closed }) => closed >= CLOSED_BAR) && improved >= pairs.length - 1;
}

/** The report as text. */
export function renderBalancing({ simulated, pairs, improved }: BalancingReport): string {
  const rows = simulated.map((row) => {
    const times = [row.ownMs, row.reportedMs, row.perfectMs].map((ms) => `${ms.toFixed(0)} ms`.padStart(9));
    const closed = `${(100 * row.closed).toFixed(0)} %`.padStart(6);
    return `${String(row.concurrency).padStart(7)} ${String(row.utilization).padStart(5)} ${times.join(' ')} ${closed}`;
  });
  const found = pairs.map(
    ({ own, reported }) =>
      `  mean ${own.meanMs.toFixed(1)} → ${reported.meanMs.toFixed(1)} ms, p99 ${own.p99Ms.toFixed(0)} → ${reported.p99Ms.toFixed(0)} ms`,
  );
  return [
    'p99 of the wait before a run: 8 callers, 4 replicas, runs of 1 ms to 2 s (simulated time)',
    'at once  load       own  reported   perfect  gap closed',
    ...rows,
    '',
    '8 callers and 4 replicas as processes, 2 at once, runs of 1 ms to 500 ms; without reports → with reports, same calls',
    ...found,
    `shorter waits with reports in ${improved} of ${pairs.length} pairs; medians: mean ${medians(pairs, 'meanMs')}, p99 ${medians(pairs, 'p99Ms')}`,
  ].join('\n');
}

function medians(pairs: readonly PairOfRuns[], key: 'meanMs' | 'p99Ms'): string {
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
  const [own, reported] = [pairs.map((pair) => pair.own[key]), pairs.map((pair) => pair.reported[key])];
  return `${median(own).toFixed(1)} → ${median(reported).toFixed(1)} ms`;
}
