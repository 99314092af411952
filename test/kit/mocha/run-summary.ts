/** What `npm test` prints at its end. */
import { type Counts, closingLine, type Report } from './reporter.js';

/** How one mocha process ended. */
export interface Result {
  /** Its folder or file. */
  readonly name: string;
  readonly ms: number;
  /** Why the process failed; undefined when it exited with 0. */
  readonly fault: string | undefined;
  /** Undefined when it ended before its tests had. */
  readonly report: Report | undefined;
}

/** What came of a lane, and how long it took. */
export interface LaneResult {
  readonly name: string;
  readonly ms: number;
  readonly results: readonly Result[];
}

const SLOWEST = 10;
/** Lines of an error that the summary repeats: its message and the start of its stack. */
const ERROR_LINES = 30;

/**
 * Where the time went, what failed and with which error, and the sums of all processes as the last line. A process that failed without a failed
 * test, such as one that was killed, counts as one failure.
 *
 * @param ms from the first process to the last.
 */
export function summaryOf(lanes: readonly LaneResult[], ms: number): { text: string; hasFailed: boolean } {
  const results = lanes.flatMap((lane) => lane.results);
  const failures = results.flatMap(failuresOf);
  const sum = (key: keyof Counts): number =>
    results.reduce((total, { report }) => total + (report?.[key] ?? 0), 0);
  const counts = { passed: sum('passed'), failed: failures.length, skipped: sum('skipped') };
  const lines = [
    `time: ${seconds(ms)}`,
    ...['', 'by lane, with the CPU time of all its processes:', ...lanes.map(laneLine)],
    ...['', 'by folder, summed over its processes:', ...listed(folderTimes(results))],
    ...['', 'slowest files:', ...listed(results.filter(({ name }) => name.endsWith('.ts')))],
    ...['', 'slowest tests, without hooks:', ...listed(testTimes(results))],
    ...(failures.length === 0 ? [] : ['', 'failed:', ...failures]),
    ...['', closingLine(counts), ''],
  ];
  return { text: lines.join('\n'), hasFailed: failures.length > 0 };
}

function failuresOf({ name, fault, report }: Result): string[] {
  const failed = report?.failures ?? [];
  if (failed.length > 0) return failed.map(({ title, error }) => `  ${name}: ${title}\n${indented(error)}`);
  const found = fault ?? (report === undefined ? 'ended without results' : undefined);
  return found === undefined ? [] : [`  ${name}: ${found}`];
}

const indented = (error: string): string =>
  error
    .split('\n')
    .slice(0, ERROR_LINES)
    .map((line) => `    ${line}`.trimEnd())
    .join('\n');

/** CPU time that `results` are known to have used. */
export const cpuMsOf = (results: readonly Result[]): number =>
  results.reduce((total, { report }) => total + (report?.cpuMs ?? 0), 0);

const laneLine = ({ name, ms, results }: LaneResult): string =>
  `  ${seconds(ms).padStart(8)}  CPU ${seconds(cpuMsOf(results)).padStart(8)}  ${name}`;

interface Timed {
  readonly name: string;
  readonly ms: number;
}

function folderTimes(results: readonly Result[]): Timed[] {
  const folders = new Map<string, number>();
  for (const { name, ms } of results) {
    const folder = name.split('/').slice(0, 2).join('/');
    folders.set(folder, (folders.get(folder) ?? 0) + ms);
  }
  return [...folders].map(([name, ms]) => ({ name, ms }));
}

const testTimes = (results: readonly Result[]): Timed[] =>
  results.flatMap(({ report }) => report?.tests ?? []).map(({ title, ms }) => ({ name: title, ms }));

const listed = (times: readonly Timed[]): string[] =>
  [...times]
    .sort((a, b) => b.ms - a.ms)
    .slice(0, SLOWEST)
    .map(({ name, ms }) => `  ${seconds(ms).padStart(8)}  ${name}`);

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
