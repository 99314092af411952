/** The figures of the serving benchmark as text. */

import { spreadOf } from '../relay/results.js';
import type { AloneFigures } from './alone-process.js';
import { MANY, PACE, type PacedRun, type ServingReport, type ServingRun } from './main.js';
import { PACER, SERVING_SUBJECTS } from './subjects.js';

/** CPU time of a call of `digits` with 32 in flight, µs: the bar of the engine. */
const DIGITS_BAR_US = 40;
/** Of the model alone in a process: the share of its requests that the engine serves of `embed` in the same CPU time. */
const EMBED_BAR = 0.9;
/** p99 of `digits` at one rate, against that of the pacer. */
const LATENESS_BAR = 1;

/** Medians over the turns, and against the model alone in the same turns; then all at one rate. */
export function renderServing({ runs, paced, alone }: ServingReport): string {
  const heads = ['callers', 'µs a call', 'a CPU s', 'calls/s', 'p50 µs', 'p99 µs', 'RSS MB', 'of alone'];
  const lines = [row('', heads)];
  for (const [model, figures] of Object.entries(alone)) {
    const rssMb = median(figures.map((one) => one.rssMb)).toFixed(0);
    for (const callers of [1, MANY]) {
      const us = aloneUs(figures, callers);
      lines.push(row(`${model} alone`, [String(callers), us.toFixed(1), perCore(us), '', '', '', rssMb, '']));
    }
    for (const group of groupsOf(runs.filter((run) => run.model === model))) {
      const { subject, callers } = group[0]!;
      const of = (pick: (run: ServingRun) => number): number => median(valid(group).map(pick));
      const cpuUs = of((run) => run.cpuUs);
      const cells = [
        ...[String(callers), cpuUs.toFixed(1), perCore(cpuUs), of((run) => run.perSecond).toFixed(0)],
        ...[of((run) => run.p50Us).toFixed(0), of((run) => run.p99Us).toFixed(0)],
        ...[of((run) => run.rssMb).toFixed(0), (aloneUs(figures, callers) / cpuUs).toFixed(2)],
      ];
      lines.push(row(`${model} ${subject}`, cells) + problemOf(group));
    }
  }
  if (paced.length > 0) lines.push('', ...renderPaced(paced));
  return lines.join('\n');
}

/** At 80 % of what the pacer serves; a server that does not keep up has no p99 that means anything. */
function renderPaced(paced: readonly PacedRun[]): string[] {
  const title = `at ${PACE * 100} % of ${PACER}`;
  const lines = [
    row(title, ['asked/s', 'calls/s', 'µs a call', 'p50 µs', 'p99 µs', 'load p99', `of ${PACER}`]),
  ];
  const models = [...new Set(paced.map((run) => run.model))];
  for (const group of models.flatMap((name) => groupsOf(paced.filter((run) => run.model === name)))) {
    const { model, subject } = group[0]!;
    const of = (pick: (run: PacedRun) => number): number => median(valid(group).map(pick));
    const cells = [
      ...[of((run) => run.rate).toFixed(0), of((run) => run.perSecond).toFixed(0)],
      ...[of((run) => run.cpuUs).toFixed(1), of((run) => run.p50Us).toFixed(0)],
      ...[of((run) => run.p99Us).toFixed(0), of((run) => run.lateP99Us).toFixed(0)],
      latenessOf(paced, model, subject).toFixed(2),
    ];
    lines.push(row(`${model} ${subject}`, cells) + problemOf(group));
  }
  return lines;
}

/** p99 against the pacer's, at the same rate; NaN where one of them was not measured. */
function latenessOf(paced: readonly PacedRun[], model: string, subject: string): number {
  const p99Of = (name: string): number =>
    median(
      valid(paced)
        .filter((run) => run.model === model && run.subject === name)
        .map((run) => run.p99Us),
    );
  return p99Of(subject) / p99Of(PACER);
}

const row = (title: string, cells: readonly string[]): string =>
  title.padEnd(20) + cells.map((text) => text.padStart(11)).join('');

/** Calls in a second of one core. */
const perCore = (cpuUs: number): string => (1e6 / cpuUs).toFixed(0);

const aloneUs = (figures: readonly AloneFigures[], callers: number): number =>
  median(figures.map((one) => (callers === 1 ? one.cpuUs : one.togetherUs)));

function problemOf(group: readonly { readonly problem: string }[]): string {
  const problem = group.find((run) => run.problem !== '')?.problem;
  return problem === undefined ? '' : `  ✗ ${problem}`;
}

/** What misses its bar, one line each. A bar of what was not measured is not missed. */
export function missedBars({ runs, paced, alone }: ServingReport): string[] {
  const missed: string[] = [];
  const costOf = (model: string, callers: number): number =>
    median(
      valid(runs)
        .filter((run) => run.model === model && run.subject === 'engine' && run.callers === callers)
        .map((run) => run.cpuUs),
    );
  const digits = costOf('digits', MANY);
  if (digits > DIGITS_BAR_US)
    missed.push(`digits: ${digits.toFixed(1)} µs a call; the bar is ${DIGITS_BAR_US}`);
  for (const callers of [1, MANY]) {
    const share = aloneUs(alone['embed'] ?? [], callers) / costOf('embed', callers);
    if (share < EMBED_BAR)
      missed.push(
        `embed, ${callers} in flight: ${share.toFixed(2)} of the model alone; the bar is ${EMBED_BAR}`,
      );
  }
  const lateness = latenessOf(paced, 'digits', 'engine');
  if (lateness > LATENESS_BAR)
    missed.push(
      `digits: p99 at one rate ${lateness.toFixed(2)} times that of ${PACER}; the bar is ${LATENESS_BAR}`,
    );
  return missed;
}

/** A run with a problem has no figures. */
const valid = <Run extends { readonly problem: string }>(group: readonly Run[]): Run[] =>
  group.filter(({ problem }) => problem === '');

/** NaN of nothing. */
function median(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : spreadOf(values).median;
}

/** The runs of one model by server and load, in the order of the subjects. */
function groupsOf<Run extends { subject: string; callers?: number }>(runs: readonly Run[]): Run[][] {
  const groups = new Map<string, Run[]>();
  const place = ({ subject }: Run): number => SERVING_SUBJECTS.findIndex(({ name }) => name === subject);
  for (const run of [...runs].sort((a, b) => place(a) - place(b))) {
    const key = `${run.subject} ${run.callers}`;
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(run);
  }
  return [...groups.values()];
}
