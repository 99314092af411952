/** What the comparison of faults and its load, a process of its own, say to each other. */

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

/** One entry for each call, in the order in which they were due. */
export interface Calls {
  /** Since the beginning. */
  readonly dueMs: readonly number[];
  /** Since it was due. */
  readonly tookMs: readonly number[];
  /** gRPC status. */
  readonly status: readonly number[];
}

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
