/**
 * Runs all tests, lane by lane, or those of the folders and files that its arguments name: `npm test`, `npm run test:unit`.
 * What a process writes is printed in one piece once it has ended; then where the time went, what failed, and the sums of
 * all processes as one line. Foreign programs are brought while the first lane runs.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { type Job, type Lane, lanesOf, takeJob } from './lanes.js';
import { runMocha, runToEnd } from './mocha-process.js';
import { cpuMsOf, type LaneResult, type Result, seconds, summaryOf } from './run-summary.js';

const INSTALL_TOOLS = join(packageRoot, 'dist/test/kit/process/install-tools.js');

async function runJob({ name, files }: Job): Promise<Result> {
  const { output, ...result } = await runMocha(name, files);
  const { ms, fault } = result;
  print(
    `== ${name} (${seconds(ms)}, CPU ${seconds(cpuMsOf([result]))})${fault === undefined ? '' : `: ${fault}`}\n${output.trimEnd()}\n\n`,
  );
  return result;
}

async function runLane({ name, width, jobs }: Lane): Promise<LaneResult> {
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
  const ms = performance.now() - startMs;
  print(`==== ${name}: ${seconds(ms)}, CPU ${seconds(cpuMsOf(results))}\n\n`);
  return { name, ms, results };
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
const results: LaneResult[] = [];
const lanes = lanesOf(chosen(testFiles(), process.argv.slice(2)));
const installed = lanes.length > 1 ? runToEnd([process.execPath, INSTALL_TOOLS]) : undefined;
for (const [at, lane] of lanes.entries()) {
  if (at === 1) print(`${(await installed)?.output}\n`);
  results.push(await runLane(lane));
}
const { text, hasFailed } = summaryOf(results, performance.now() - startMs);
print(text);
process.exitCode = hasFailed ? 1 : 0;
