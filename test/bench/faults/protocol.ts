/** What the comparison of faults and its load, a process of its own, say to each other. */

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

/** `began`: when the schedule began, ms since 1970. */
export type LoadMessage =
  | { readonly ready: true }
  | { readonly began: number }
  | { readonly calls: Calls }
  | { readonly error: string };
