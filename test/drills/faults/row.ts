/**
 * One row of a table of faults: what is broken, under load, and what was promised meanwhile. A row breaks and heals
 * its world and tells its trial what it found; the trial judges and keeps the figures.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionRecord } from '../../../sidecar/cli/chaos/history/record.js';
import type { Control } from './control.js';
import { brokenBy, LATE_MS, type Load, type LoadSummary, type SentCall, summarize } from './load.js';
import { seconds } from './times.js';

/** One fault, and what is expected meanwhile. */
export interface Row<World> {
  /** For `--only`. */
  readonly name: string;
  /** What goes wrong, for people. */
  readonly fault: string;
  run(world: World, trial: Trial): Promise<void>;
}

/** Rows, and the world they share. Each row leaves it as it found it. */
export interface Suite<World> {
  readonly name: string;
  readonly title: string;
  readonly rows: readonly Row<World>[];
  /** Figures that the table has a column for, in place of those of the load. */
  readonly columns?: readonly string[];
  /** `logs`: a directory for what its processes write, to look for a cause in. */
  open(logs?: string): Promise<World>;
  close(world: World): Promise<void>;
}

/** `short`: enough to show that a promise holds, for the test suite. `full`: the times the promises speak of. */
export type Pace = 'short' | 'full';

/** A longer stall of our own event loop, ms: calls that were sent or read late say nothing about the mesh. */
const OWN_STALL_MS = 200;

/** Judges the promises of one run of a row, and keeps its figures. */
export class Trial {
  /** The figures that people compare. */
  readonly figures: Record<string, string> = {};
  /** Promises in words, each with its bound, whether it was kept, and what was found. */
  readonly criteria: { readonly promise: string; readonly kept: boolean; readonly found: string }[] = [];
  load: LoadSummary = summarize([]);
  /** What was not right with the machine meanwhile, seen without the mesh, so that the trial proves nothing. */
  disturbed: string | undefined;
  /** Runs since before the mesh of the row was started, so that its own start disturbs nothing. */
  control: Control | undefined;

  constructor(readonly pace: Pace) {}

  pick<T>(short: T, full: T): T {
    return this.pace === 'short' ? short : full;
  }

  figure(name: string, value: string): void {
    this.figures[name] = value;
  }

  expect(promise: string, kept: boolean, found: string): void {
    this.criteria.push({ promise, kept, found });
  }

  /** A promise about a time. Undefined: it did not happen. */
  within(promise: string, limitMs: number, tookMs: number | undefined): void {
    const kept = tookMs !== undefined && tookMs <= limitMs;
    const found = tookMs === undefined ? 'it did not happen' : seconds(tookMs);
    this.expect(`${promise} within ${seconds(limitMs)}`, kept, found);
  }

  /** Judges a count that has to be 0. `of`: what it is a count of, such as `of 20 calls`. */
  none(promise: string, count: number, of: string): void {
    this.expect(promise, count === 0, `${count} ${of}`);
  }

  every<Value>(promise: string, found: readonly Value[], isKept: (value: Value) => boolean): void {
    this.expect(promise, found.every(isKept), found.join(', '));
  }

  /** Judges that all there is of something is what was promised: something, and nothing else. */
  only(promise: string, found: readonly string[], wanted: string): void {
    const odd = [...new Set(found)].filter((what) => what !== wanted);
    const isKept = found.length > 0 && odd.length === 0;
    this.expect(promise, isKept, odd.length === 0 ? `all ${found.length}` : odd.join(', '));
  }

  expectAvailable(calls: readonly SentCall[], percent: number): void {
    const found = summarize(calls);
    const share = (100 * found.ok) / found.sent;
    const text = `${share.toFixed(2)} %`;
    this.figure('available', text);
    const promise = `at least ${percent} % of the calls succeed`;
    this.expect(promise, found.sent > 0 && share >= percent, `${text}, ${failuresOf(found)}`);
  }

  /** Judges the 99th percentile of the time that calls took. */
  expectP99(promise: string, calls: readonly SentCall[], limitMs: number): void {
    const { p99Ms } = summarize(calls);
    this.expect(`${promise}: at most ${limitMs.toFixed(0)} ms`, p99Ms <= limitMs, `${p99Ms.toFixed(0)} ms`);
  }

  /** No call may take much longer than its deadline, whatever hangs. */
  expectNoneHangs(calls: readonly SentCall[], deadlineMs: number): void {
    const { slowestMs } = summarize(calls);
    const limitMs = deadlineMs + LATE_MS;
    this.expect(`no call takes longer than ${seconds(limitMs)}`, slowestMs <= limitMs, seconds(slowestMs));
  }

  /** Steady load, what `work` does, steady load; the calls of all that time. */
  async under(load: Load, work: () => Promise<void>): Promise<readonly SentCall[]> {
    const steadyMs = this.pick(250, 3_000);
    const fromMs = performance.now();
    let calls: readonly SentCall[] = [];
    try {
      await delay(steadyMs);
      this.noneFailed('no call fails before anything is broken', await load.between(fromMs));
      await work();
    } finally {
      await delay(steadyMs);
      this.disturbed ??= await this.control?.since(fromMs);
      const stallMs = load.lagSince(fromMs);
      if (stallMs > OWN_STALL_MS) {
        this.figure('our own longest stall', seconds(stallMs));
        this.disturbed ??= `we stood still for ${seconds(stallMs)}`;
      }
      calls = await load.between(fromMs);
      this.load = summarize(calls, fromMs);
      this.check(load, calls);
    }
    return calls;
  }

  /** The invariants of every history, which a row names only where they are broken. */
  check(
    load: Pick<Load, 'lagMs'>,
    calls: readonly SentCall[],
    executions?: readonly ExecutionRecord[],
  ): void {
    const broken = brokenBy(calls, load, executions);
    for (const name of new Set(broken.map(({ invariant }) => invariant))) {
      const [first, ...more] = broken.filter(({ invariant }) => invariant === name);
      const { callId, expected, found } = first!;
      this.expect(`${name}: ${expected}`, false, `${callId}: ${found}, and ${more.length} more`);
    }
  }

  /** As `under`, with the promise of most rows. */
  async unharmed(load: Load, work: () => Promise<void>): Promise<void> {
    const calls = await this.under(load, work);
    this.noneFailed('no call fails', calls);
  }

  noneFailed(promise: string, calls: readonly SentCall[]): void {
    const found = summarize(calls);
    this.expect(promise, found.failed === 0 && found.sent > 0, failuresOf(found));
  }
}

/** The failures as text, such as `2 of 90; 2 UNAVAILABLE no-endpoint (0.10 s to 0.20 s)`. */
export function failuresOf({ sent, failed, failures }: LoadSummary): string {
  const kinds = failures.map(
    ({ what, count, firstMs, lastMs }) => `${count} ${what} (${seconds(firstMs)} to ${seconds(lastMs)})`,
  );
  return [`${failed} of ${sent}`, ...kinds].join('; ');
}
