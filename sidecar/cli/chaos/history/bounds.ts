/** What the checker allows. Each bound is generous to noise and not to faults. */
export interface CheckBounds {
  /** How late the end of a call may be beyond its deadline and the lateness of its client, in ms. */
  readonly deadlineMs: number;
  /** How long after an ejection calls may still be sent to the endpoint, in ms: callers learn of it from a status that is polled. */
  readonly ejectedMs: number;
  /** How long a call that began before may wait in the queue of an endpoint that is then ejected, in ms. */
  readonly queuedMs: number;
  /** How many calls for each second of an ejection may go to the ejected endpoint as probes that carry no mark; one more is allowed. */
  readonly probesPerSecond: number;
  /** Below this share of endpoints that may be chosen, ejected ones get calls again (the panic threshold of Envoy). */
  readonly panicShare: number;
  /** By how much clocks of two processes may differ, in ms. */
  readonly clockMs: number;
}

/** The bounds of `outrider chaos`. The first one is its promise; the others say how exactly marks are known. */
export const DEFAULT_BOUNDS: CheckBounds = {
  deadlineMs: 50,
  ejectedMs: 1_000,
  queuedMs: 2_000,
  probesPerSecond: 1,
  panicShare: 0.5,
  clockMs: 20,
};
