/**
 * Runs all tests, lane by lane, or those of the folders and files that its arguments name: `npm test`, `npm run test:unit`.
 * What a process writes is printed in one piece once it has ended; then where the time went, what failed, and the sums of
 * all processes as one line. Foreign programs are brought while the first lane runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { type Job, type Lane, lanesOf, takeJob } from './lanes.js';
import type { Report } from './reporter.js';
import { type Result, summaryOf } from './run-summary.js';

const MOCHA = join(packageRoot, 'node_modules/mocha/lib/cli/cli.js');
const INSTALL_TOOLS = join(packageRoot, 'dist/test/kit/process/install-tools.js');
/** A process that has not ended by then is killed, and has failed. */
const JOB_LIMIT_MS = 900_000;

const running = new Set<ChildProcess>();
const reports = mkdtempSync(join(tmpdir(), 'outrider-tests-'));
process.on('exit', () => rmSync(reports, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(1);
  });

interface Ended {
  readonly output: string;
  readonly ms: number;
  /** Why it failed, as a fragment; undefined when it exited with 0. */
  readonly fault: string | undefined;
}

/** Runs Node with `args` to its end. */
function run(args: readonly string[], name: string): Promise<Ended> {
  const startMs = performance.now();
  const log = join(reports, `${name}.log`);
  const fd = openSync(log, 'w');
  const child = spawn(process.execPath, args, { cwd: packageRoot, stdio: ['ignore', fd, fd] });
  closeSync(fd);
  running.add(child);
  let fault: string | undefined;
  const timer = setTimeout(() => {
    fault = `did not end within ${JOB_LIMIT_MS / 1000} s`;
    child.kill('SIGKILL');
  }, JOB_LIMIT_MS);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      if (code !== 0) fault ??= `ended with ${signal ?? `exit code ${code}`}`;
      resolve({ output: readFileSync(log, 'utf8'), ms: performance.now() - startMs, fault });
    });
  });
}

let started = 0;

async function runJob({ name, files }: Job): Promise<Result> {
  started += 1;
  const file = join(reports, `${started}.json`);
  const colour = process.stdout.isTTY ? ['--color'] : [];
  const compiled = files.map((path) => join('dist', path.replace(/\.ts$/, '.js')));
  const args = ['--enable-source-maps', MOCHA, ...colour, '--reporter-option', `report=${file}`, ...compiled];
  const { output, ms, fault } = await run(args, `${started}`);
  print(
    `== ${name} (${(ms / 1000).toFixed(1)} s)${fault === undefined ? '' : `: ${fault}`}\n${output.trimEnd()}\n\n`,
  );
  return { name, ms, fault, report: readReport(file) };
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

async function runLane({ name, width, jobs }: Lane): Promise<readonly Result[]> {
  print(`==== ${name}: ${jobs.length} processes, ${width} at a time\n\n`);
  const left = [...jobs];
  const current = new Set<Job>();
  const results: Result[] = [];
  const work = async (): Promise<void> => {
    for (let job = takeJob(left, current); job !== undefined; job = takeJob(left, current)) {
      current.add(job);
      results.push(await runJob(job));
      current.delete(job);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: width }, work));
  print(`==== ${name}: ${((performance.now() - startMs) / 1000).toFixed(1)} s\n\n`);
  return results;
}

function print(text: string): void {
  process.stdout.write(text);
}

/** Test files, as their sources are called. */
function testFiles(): string[] {
  const paths = readdirSync(join(packageRoot, 'dist/test'), { recursive: true, encoding: 'utf8' });
  return paths
    .filter((path) => path.endsWith('.test.js'))
    .map((path) => `test/${path.replace(/\.js$/, '.ts')}`);
}

function chosen(files: readonly string[], places: readonly string[]): string[] {
  for (const place of places)
    if (!files.some((file) => isIn(place, file))) {
      console.error(`found ${place}; expected a folder of test/ or a test file`);
      process.exit(2);
    }
  return files.filter((file) => places.length === 0 || places.some((place) => isIn(place, file)));
}

const isIn = (place: string, file: string): boolean =>
  file === place || file.startsWith(`${place.replace(/\/$/, '')}/`);

const startMs = performance.now();
const results: Result[] = [];
const lanes = lanesOf(chosen(testFiles(), process.argv.slice(2)));
const installed = lanes.length > 1 ? run([INSTALL_TOOLS], 'install-tools') : undefined;
for (const [at, lane] of lanes.entries()) {
  if (at === 1) print(`${(await installed)?.output}\n`);
  results.push(...(await runLane(lane)));
}
const { text, hasFailed } = summaryOf(results, performance.now() - startMs);
print(text);
process.exitCode = hasFailed ? 1 : 0;
