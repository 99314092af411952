/**
 * The two clocks of the process. Every decision gets one of these numbers as an argument; nothing outside
 * runtime/ reads a clock by itself, which is what lets tests drive time by hand.
 */
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Milliseconds, fractional, monotonic, from an arbitrary origin. For every duration, deadline and order. */
  now(): number;
  /** Milliseconds since the Unix epoch; may jump. Only for certificate validity and stamps in logs. */
  wallNow(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
};
