/** What the overload benchmark and its load, a process of its own, say to each other. */

/** Metadata key that names a call's class, where there are classes. */
export const CLASS_KEY = 'x-class';

/** Calls of one kind for a stretch of time; the answer is `PhaseCalls`. */
export interface Phase {
  readonly port: number;
  readonly forMs: number;
  readonly deadlineMs: number;
  /** Calls at this mean rate, at Poisson-distributed times, whatever the answers do … */
  readonly perSecond?: number;
  /** … or so many in flight at once, each followed by the next. */
  readonly inFlight?: number;
  /** Every so many calls one is of the first class; 0: none says anything of a class. */
  readonly firstClassEvery: number;
  readonly seed: number;
}

/** One entry for each call, in the order in which they ended. */
export interface PhaseCalls {
  /** When it was due, from the beginning of the phase; how long it took counts from then too. */
  readonly sentMs: number[];
  readonly tookMs: number[];
  /** gRPC status. */
  readonly status: number[];
  readonly isFirstClass: boolean[];
}
