import { performance } from 'node:perf_hooks';

/**
 * The two clocks of the process. Nothing outside `runtime/` and `cli/` reads a clock by itself:
 * decisions get times as arguments, so that tests drive time by hand.
 */
export interface Clock {
  /**
   * Milliseconds, fractional, monotonic, from an arbitrary origin. For every duration, deadline and
   * order.
   */
  now(): number;
  /**
   * Milliseconds since the Unix epoch; may jump. Only for certificate validity and stamps in logs.
   */
  wallNow(): number;
}

/** The clocks of the operating system. */
export const systemClock: Clock = { now: () => performance.now(), wallNow: () => Date.now() };
