/**
 * `npm run demo`: a real mesh answers real pictures while its models and sidecars are killed and frozen, and no call
 * fails. Exit 1 when a promise is broken. `--json` prints one object instead of tables.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { bar, ProgressLine, paletteFor, table } from '../../../sidecar/cli/terminal.js';
import { type Happening, STAGES } from './faults.js';
import { Load } from './load.js';
import { DemoMesh } from './mesh.js';

const PER_SECOND = 150;
const DEADLINE_MS = 1_000;
const QUIET_MS = 2_500;
/** For the progress bar: about what each stage takes. */
const EXPECTED_MS = QUIET_MS * 4 + 24_000;
/** The promise is 94.5 % over all held-out digits; the demonstration sees all of them at least once. */
const LEAST_ACCURACY = 0.945;
const LEAST_PER_SECOND = 100;

interface Result {
  readonly happenings: readonly Happening[];
  readonly calls: number;
  readonly failed: number;
  readonly extraAttempts: number;
  readonly ejections: number;
  readonly accuracy: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly broken: readonly string[];
}

async function main(): Promise<number> {
  const progress = new ProgressLine(process.stderr);
  progress.show('starting the mesh');
  const mesh = await DemoMesh.start();
  const stop = () => void mesh.stop().then(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    const result = await play(mesh, progress);
    progress.clear();
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result)}\n`);
    else print(result);
    return result.broken.length === 0 ? 0 : 1;
  } finally {
    progress.clear();
    await mesh.stop();
  }
}

async function play(mesh: DemoMesh, progress: ProgressLine): Promise<Result> {
  const load = new Load({ target: mesh.callAddress, perSecond: PER_SECOND, deadlineMs: DEADLINE_MS });
  let title = 'all is well';
  const draw = setInterval(() => {
    const ratio = Math.min(0.99, load.elapsedMs / EXPECTED_MS);
    progress.show(`${bar(ratio)}  ${load.answered} answered, ${load.failures.length} failed  ${title}`);
  }, 100);
  const happenings: Happening[] = [];
  try {
    await delay(QUIET_MS);
    for (const stage of STAGES) {
      title = stage.title;
      happenings.push(await stage.run(mesh, load.elapsedMs));
      title = 'all is well again';
      await delay(QUIET_MS);
    }
    const tookMs = load.elapsedMs;
    await load.stop();
    return await judge(mesh, load, happenings, tookMs);
  } finally {
    clearInterval(draw);
  }
}

async function judge(mesh: DemoMesh, load: Load, happenings: Happening[], tookMs: number): Promise<Result> {
  const sorted = load.latenciesMs.toSorted((a, b) => a - b);
  const at = (ratio: number) => sorted[Math.min(sorted.length - 1, Math.floor(ratio * sorted.length))] ?? 0;
  const accuracy = load.answered === 0 ? 0 : load.right / load.answered;
  const perSecond = load.sent / (tookMs / 1000);
  const broken = happenings.flatMap((happening) => happening.broken ?? []);
  for (const { atMs, what } of load.failures.slice(0, 10))
    broken.push(`a call failed at ${(atMs / 1000).toFixed(1)} s: ${what}`);
  if (accuracy < LEAST_ACCURACY)
    broken.push(`accuracy ${percent(accuracy)} is below ${percent(LEAST_ACCURACY)}`);
  if (perSecond < LEAST_PER_SECOND) broken.push(`only ${perSecond.toFixed(0)} calls per second were sent`);
  return {
    happenings,
    calls: load.sent,
    failed: load.failures.length,
    extraAttempts: await mesh.counter('outrider_retries_total', 'direction="outbound"'),
    ejections: await mesh.counter('outrider_ejections_total'),
    accuracy,
    perSecond,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    broken,
  };
}

function print(result: Result): void {
  const palette = paletteFor(process.stdout, process.env);
  const { calls, failed, accuracy } = result;
  const rows = result.happenings.map((h) => [
    `${(h.atMs / 1000).toFixed(1)} s`,
    h.what,
    h.broken ? palette.red(h.outcome) : h.outcome,
  ]);
  const numbers = [
    ['calls', `${calls}, ${result.perSecond.toFixed(0)} per second, deadline ${DEADLINE_MS} ms`],
    ['failed', String(failed)],
    ['extra attempts', String(result.extraAttempts)],
    ['ejections', String(result.ejections)],
    ['accuracy', percent(accuracy)],
    [
      'latency',
      `p50 ${result.p50Ms.toFixed(1)} ms, p99 ${result.p99Ms.toFixed(1)} ms, slowest ${result.maxMs.toFixed(0)} ms`,
    ],
  ];
  const broken = result.broken.map((line) => palette.red(`broken: ${line}`));
  const summary = `demo: ${calls} calls, ${failed} failed, accuracy ${percent(accuracy)}`;
  const out = [
    table(['when', 'what happened', 'what the mesh did'], rows, palette),
    '',
    table(['', ''], numbers).trim(),
    '',
    ...broken,
    summary,
  ];
  process.stdout.write(`${out.join('\n')}\n`);
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`demo: ${error.message.split('\n', 1)[0]}\n`);
    process.exit(1);
  },
);
