/** Test files with a bound of time in an assertion, and what is told of them after several runs beside other load. */
import type { Result } from './run-summary.js';

/**
 * A new test that bounds a latency, or for which a second or two decide, is named here. The quick ones come first. Left out are those
 * whose bounds are many times what they take, such as `test/e2e/consul-faults`. What needs more effort than `npm test` makes is named
 * in `.ci/weekly`.
 */
export const TIME_BOUND: readonly string[] = [
  ...['test/interop/neighbours', 'test/interop/load-reports', 'test/bench/overload/main'],
  ...['test/attacks/exhaustion', 'test/attacks/slow-peers', 'test/attacks/cancel-flood'],
  ...['test/attacks/rapid-reset', 'test/attacks/floods', 'test/attacks/headers'],
  ...['test/stack/services/bad-input', 'test/stack/services/golden-probe'],
  ...['test/stack/supervise/process-state', 'test/stack/supervise/watcher-thread'],
  ...['test/e2e/sidecar/health-checks', 'test/e2e/sidecar/several-models', 'test/e2e/sidecar/traces'],
  'test/e2e/up/takeover',
].map((name) => `${name}.test.ts`);

/** One run of a file. A run without a result of its tests has failed. */
export type Run = Pick<Result, 'ms' | 'fault' | 'report'>;

/** Every test of it passed. A skipped one proves nothing. */
export function isPassed({ fault, report }: Run): boolean {
  return fault === undefined && report !== undefined && report.failed + report.skipped === 0;
}

/** A line for a file: whether all its runs passed, and how each one ended and after how long. */
export function lineOf(name: string, runs: readonly Run[]): string {
  const told = runs.map((run) => `${(run.ms / 1000).toFixed(1)} s ${verdictOf(run)}`);
  return `${runs.every(isPassed) ? '✔' : '✘'} ${name}: ${told.join('; ')}`;
}

function verdictOf({ fault, report }: Run): string {
  if (report === undefined) return fault ?? 'ended without results';
  const { passed, failed, skipped } = report;
  const counts = [`${passed} passed`, failed > 0 && `${failed} failed`, skipped > 0 && `${skipped} skipped`];
  return counts.filter(Boolean).join(', ');
}
