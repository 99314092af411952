/**
 * Runs all tests, side by side as their lanes say, or those of the folders and files that its arguments name: `npm test`, `npm run test:unit`.
 * What a job writes is printed in one piece once it has ended; then where the time went, what failed, and the sums of all as one line. Foreign
 * programs are brought while the tests in memory run.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { type Job, jobsOf, takeJob } from './lanes.js';
import { type Ended, MochaWorker, runMocha, runToEnd } from './mocha-process.js';
import { cpuMsOf, type LaneResult, type Result, seconds, summaryOf } from './run-summary.js';

const INSTALL_TOOLS = join(packageRoot, 'dist/test/kit/process/install-tools.js');

/** Processes that wait for their next job. */
const idle: MochaWorker[] = [];

async function resultOf({ name, files, ownProcess }: Job): Promise<Result & Ended> {
  if (ownProcess) return runMocha(name, files);
  const worker = idle.pop() ?? new MochaWorker();
  const result = await worker.run(name, files);
  if (worker.isUsable) idle.push(worker);
  return result;
}

async function runJob(job: Job): Promise<Result> {
  const { output, ...result } = await resultOf(job);
  const { name, ms, fault } = result;
  print(
    `== ${name} (${seconds(ms)}, CPU ${seconds(cpuMsOf([result]))})${fault === undefined ? '' : `: ${fault}`}\n${output.trimEnd()}\n\n`,
  );
  return result;
}

/** What is known of a lane while its jobs run. */
interface Progress {
  readonly startMs: number;
  readonly results: Result[];
  endMs: number;
}

/** Runs `jobs` side by side; those that need tools only once `tools` are there. */
async function runJobs(jobs: readonly Job[], tools: Promise<unknown>): Promise<LaneResult[]> {
  const left = [...jobs];
  const ready = left.filter(({ needsNoTools }) => needsNoTools);
  const later = left.filter((job) => !ready.includes(job));
  const current = new Set<Job>();
  const lanes = new Map<string, Progress>();
  const running = new Set<Promise<void>>();
  const start = (): void => {
    for (let job = takeJob(ready, current); job !== undefined; job = takeJob(ready, current)) {
      const run = work(job).finally(() => running.delete(run));
      running.add(run);
    }
  };
  const work = async (job: Job): Promise<void> => {
    const nowMs = performance.now();
    const lane = lanes.get(job.lane) ?? { startMs: nowMs, endMs: nowMs, results: [] };
    lanes.set(job.lane, lane);
    current.add(job);
    lane.results.push(await runJob(job));
    lane.endMs = performance.now();
    current.delete(job);
    start();
  };
  const all = tools.then(() => {
    ready.push(...later);
    start();
  });
  start();
  await all;
  while (running.size > 0) await Promise.race(running);
  return [...lanes].map(([name, { startMs, endMs, results }]) => ({ name, ms: endMs - startMs, results }));
}

/** Ends the processes that are left; one that does not end has failed. */
async function endWorkers(): Promise<Result[]> {
  const startMs = performance.now();
  const faults = await Promise.all(idle.map((worker) => worker.end()));
  return faults
    .filter((fault) => fault !== undefined)
    .map((fault) => ({ name: 'a process', ms: performance.now() - startMs, fault, report: undefined }));
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
const jobs = jobsOf(chosen(testFiles(), process.argv.slice(2)));
const needsTools = jobs.some(({ needsNoTools }) => !needsNoTools);
const tools = needsTools ? runToEnd([process.execPath, INSTALL_TOOLS]) : undefined;
const results = await runJobs(jobs, Promise.resolve(tools?.then(({ output }) => print(`${output}\n`))));
const left = await endWorkers();
if (left.length > 0) results.push({ name: 'processes at their end', ms: 0, results: left });
const { text, hasFailed } = summaryOf(results, performance.now() - startMs);
print(text);
process.exitCode = hasFailed ? 1 : 0;
