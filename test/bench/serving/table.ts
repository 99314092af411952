/** The figures of the serving benchmark as text. */

import { spreadOf } from '../relay/results.js';
import type { ServingReport, ServingRun } from './main.js';

/** CPU time of a call of `digits` with 32 in flight, µs: the bar of the engine, and what it aims at. */
export const DIGITS_BAR_US = 40;
export const DIGITS_AIM_US = 25;
/** Of the model alone in a process: the share of its requests that the engine serves of `embed` in the same CPU time. */
export const EMBED_BAR = 0.9;

/** Medians over the turns, and against the model alone in the same turns. */
export function renderServing({ runs, alone }: ServingReport): string {
  const cell = (text: string): string => text.padStart(11);
  const heads = ['callers', 'µs a call', 'calls/s', 'p50 µs', 'p99 µs', 'RSS MB', 'of alone'];
  const lines = [`${''.padEnd(20)}${heads.map(cell).join('')}`];
  for (const [model, figures] of Object.entries(alone)) {
    const cpuUs = median(figures.map((one) => one.cpuUs));
    const rssMb = median(figures.map((one) => one.rssMb));
    lines.push(
      `${`${model} alone`.padEnd(20)}${['', cpuUs.toFixed(1), '', '', '', rssMb.toFixed(0), ''].map(cell).join('')}`,
    );
    for (const group of groupsOf(runs.filter((run) => run.model === model))) {
      const { subject, callers } = group[0]!;
      const of = (pick: (run: ServingRun) => number): number => median(group.map(pick));
      const cells = [
        String(callers),
        of((run) => run.cpuUs).toFixed(1),
        of((run) => run.perSecond).toFixed(0),
        of((run) => run.p50Us).toFixed(0),
        of((run) => run.p99Us).toFixed(0),
        of((run) => run.rssMb).toFixed(0),
        (cpuUs / of((run) => run.cpuUs)).toFixed(2),
      ];
      const problem = group.find((run) => run.problem !== '')?.problem;
      lines.push(
        `${`${model} ${subject}`.padEnd(20)}${cells.map(cell).join('')}${problem === undefined ? '' : `  ✗ ${problem}`}`,
      );
    }
  }
  return lines.join('\n');
}

/** What misses its bar, one line each. A bar of a model that was not measured is not missed. */
export function missedBars({ runs, alone }: ServingReport): string[] {
  const missed: string[] = [];
  const costOf = (model: string): number =>
    median(
      runs
        .filter((run) => run.model === model && run.subject === 'engine' && run.callers === 32)
        .map((run) => run.cpuUs),
    );
  const digits = costOf('digits');
  if (digits > DIGITS_BAR_US)
    missed.push(`digits: ${digits.toFixed(1)} µs a call; the bar is ${DIGITS_BAR_US}`);
  const embed = median((alone['embed'] ?? []).map((one) => one.cpuUs)) / costOf('embed');
  if (embed < EMBED_BAR)
    missed.push(`embed: ${embed.toFixed(2)} of the model alone; the bar is ${EMBED_BAR}`);
  return missed;
}

/** NaN of nothing. */
function median(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : spreadOf(values).median;
}

/** The runs of each server under each load, in the order of the first turn. */
function groupsOf(runs: readonly ServingRun[]): ServingRun[][] {
  const groups = new Map<string, ServingRun[]>();
  for (const run of runs) {
    const key = `${run.subject} ${run.callers}`;
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(run);
  }
  return [...groups.values()];
}
