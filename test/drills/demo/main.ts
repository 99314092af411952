/**
 * `npm run demo`: a real mesh answers real pictures while its models and sidecars are killed and frozen, and no call
 * fails. Exit 1 when a promise is broken. `--json` prints one object instead of tables.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { reasonIn } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { classIn } from '../../../sidecar/cli/chaos/load/pictures.js';
import { ProgressLine, paletteFor, table } from '../../../sidecar/cli/terminal.js';
import { reportEnd } from '../../kit/process/command-line.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin, Mesh, type UpFacts } from '../../kit/process/outrider.js';
import { exampleOnFreePorts } from '../../kit/process/suite-mesh.js';
import { digitLoad, digitOf } from '../faults/digit-load.js';
import { brokenIn, summarize } from '../faults/load.js';
import { STAGES, seconds } from './faults.js';
import { bar } from './progress-bar.js';

const PER_SECOND = 150;
const DEADLINE_MS = 1_000;
const QUIET_MS = 2_500;
/** For the progress bar: about what each stage takes. */
const EXPECTED_MS = QUIET_MS * 4 + 24_000;
/** The promise is 94.5 % over all held-out digits; the demonstration sees all of them at least once. */
const LEAST_ACCURACY = 0.945;
const LEAST_PER_SECOND = 100;

type Result = Awaited<ReturnType<typeof play>>;

/** The mesh is the real `mesh-config/demo.yaml`, on free ports so that it never meets another one. */
async function main(): Promise<number> {
  const progress = new ProgressLine(process.stderr);
  progress.show('starting the mesh');
  const mesh = Mesh.start(exampleOnFreePorts('demo.yaml'));
  process.once('exit', () => mesh.signal('SIGKILL'));
  const stop = () => void mesh.discard().then(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    const result = await play(await mesh.ready(), progress);
    progress.clear();
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result)}\n`);
    else print(result);
    return result.broken.length === 0 ? 0 : 1;
  } finally {
    progress.clear();
    await mesh.discard();
  }
}

/**
 * The application: a stock gRPC client without any resilience of its own, which sends held-out digits at a steady rate
 * whatever happens, each with a deadline, and knows the right answers.
 */
async function play(mesh: UpFacts, progress: ProgressLine) {
  let right = 0;
  const load = await digitLoad({
    target: mesh.call['digits']!,
    perSecond: PER_SECOND,
    deadlineMs: DEADLINE_MS,
    judge: (answer, n) => {
      if (classIn(answer) === digitOf(n).label) right++;
      return undefined;
    },
    describe: ({ code, details, metadata }) =>
      `${status[code]}: ${details} (outrider-reason: ${reasonIn(metadata) ?? 'none'})`,
  });
  right = 0; // the first call is not counted
  const beganMs = performance.now();
  const elapsedMs = (): number => performance.now() - beganMs;
  let title = 'all is well';
  const draw = setInterval(() => {
    const ratio = Math.min(0.99, elapsedMs() / EXPECTED_MS);
    progress.show(`${bar(ratio)}  ${load.answered} answered, ${load.failures.length} failed  ${title}`);
  }, 100);
  const happenings = [];
  await delay(QUIET_MS);
  for (const stage of STAGES) {
    title = stage.title;
    happenings.push({ atMs: elapsedMs(), ...(await stage.run(mesh)) });
    title = 'all is well again';
    await delay(QUIET_MS);
  }
  const perSecond = load.sent / (elapsedMs() / 1000);
  await load.stop();
  clearInterval(draw);
  const calls = await load.between(0);
  const { ok, failed, sent } = summarize(calls);
  const { p50Ms, p99Ms, slowestMs } = summarize(calls.filter(({ failure }) => failure === undefined));
  const accuracy = ok === 0 ? 0 : right / ok;
  const broken = [...happenings.flatMap((happening) => happening.broken ?? []), ...brokenIn(load)];
  for (const { startMs, failure } of load.failures.slice(0, 10))
    broken.push(`a call failed at ${seconds(startMs - beganMs)}: ${failure}`);
  if (accuracy < LEAST_ACCURACY)
    broken.push(`accuracy ${percent(accuracy)} is below ${percent(LEAST_ACCURACY)}`);
  if (perSecond < LEAST_PER_SECOND) broken.push(`only ${perSecond.toFixed(0)} calls per second were sent`);
  const { body } = await admin(mesh.admin, '/metrics');
  const retries = { direction: 'outbound', service: 'digits' };
  return {
    happenings,
    calls: sent,
    failed,
    extraAttempts: sumOfSamples(body, 'outrider_retries_total', retries),
    ejections: sumOfSamples(body, 'outrider_ejections_total', { upstream: 'digits' }),
    ...{ accuracy, perSecond, p50Ms, p99Ms, maxMs: slowestMs, broken },
  };
}

function print(result: Result): void {
  const palette = paletteFor(process.stdout, process.env);
  const { calls, failed, accuracy } = result;
  const rows = result.happenings.map((h) => [
    seconds(h.atMs),
    h.what,
    h.broken ? palette.red(h.outcome) : h.outcome,
  ]);
  const latency = `p50 ${result.p50Ms.toFixed(1)} ms, p99 ${result.p99Ms.toFixed(1)} ms, slowest ${result.maxMs.toFixed(0)} ms`;
  const numbers = [
    ['calls', `${calls}, ${result.perSecond.toFixed(0)} per second, deadline ${DEADLINE_MS} ms`],
    ['failed', String(failed)],
    ['extra attempts', String(result.extraAttempts)],
    ['ejections', String(result.ejections)],
    ['accuracy', percent(accuracy)],
    ['latency', latency],
  ];
  const out = [
    table(['when', 'what happened', 'what the mesh did'], rows, palette),
    '',
    table(['', ''], numbers).trim(),
    '',
    ...result.broken.map((line) => palette.red(`broken: ${line}`)),
    `demo: ${calls} calls, ${failed} failed, accuracy ${percent(accuracy)}`,
  ];
  process.stdout.write(`${out.join('\n')}\n`);
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

main().then(
  (code) => process.exit(code),
  (error: Error) => process.exit(reportEnd('demo', error.message.split('\n', 1)[0])),
);
