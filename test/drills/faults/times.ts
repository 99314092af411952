/** Times: how long something takes, which share of several is below which, and how they are written. */

import { setTimeout as delay } from 'node:timers/promises';
import { quantile as nearestRank } from '../../../sidecar/cli/chaos/report/figures/latency.js';

/** Time until `happened`; undefined when it does not within the limit. */
export async function measure(
  happened: () => boolean | Promise<boolean>,
  limitMs: number,
  fromMs = performance.now(),
): Promise<number | undefined> {
  while (!(await happened())) {
    if (performance.now() - fromMs > limitMs) return undefined;
    await delay(10);
  }
  return performance.now() - fromMs;
}

/** The longest of several times; undefined when one of them did not happen. */
export function longest(times: readonly (number | undefined)[]): number | undefined {
  return times.includes(undefined) ? undefined : Math.max(...times.map(Number));
}

/** A time as text, such as `0.25 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** As the report of `outrider chaos` has it; `none` when there are no values. */
export function quantile(values: readonly number[], share: number, none = 0): number {
  const sorted = values.toSorted((a, b) => a - b);
  return nearestRank(sorted, share) ?? none;
}
