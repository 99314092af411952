/** What the comparison of faults and its load, a process of its own, say to each other. */

import type { NotedCall } from '../../../sidecar/cli/chaos/history/record.js';
import { seeded } from '../../kit/time/seeded-random.js';

/** What the load is asked for. */
export interface Schedule {
  /** As grpc-js reads it. */
  readonly target: string;
  /** Of grpc-js: absent, the client does nothing about failures. */
  readonly serviceConfig?: object;
  readonly deadlineMs: number;
  /** One after the other: calls at this mean rate, at Poisson-distributed times, whatever the answers do. */
  readonly phases: readonly { readonly forMs: number; readonly perSecond: number }[];
  readonly seed: number;
}

/** In the order in which they were due, which is when a call counts as begun; times are since the begin of the schedule. */
export type Calls = readonly Pick<NotedCall, 'startMs' | 'endMs' | 'status'>[];

/** What the load is asked for: to begin with a schedule (it says when it has, ms since 1970); then what became of it (`Calls`). */
export type LoadRequest = Schedule | 'calls';

/** When each call is due: the same for the same schedule. */
export function dueTimes({ phases, seed }: Pick<Schedule, 'phases' | 'seed'>): number[] {
  const random = seeded(seed);
  const due: number[] = [];
  let fromMs = 0;
  for (const { forMs, perSecond } of phases) {
    const gap = (): number => (-Math.log(1 - random()) * 1_000) / perSecond;
    for (let atMs = fromMs + gap(); atMs < fromMs + forMs; atMs += gap()) due.push(atMs);
    fromMs += forMs;
  }
  return due;
}
