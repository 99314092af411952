/**
 * What every part of the data plane shares: one clock, one timing wheel, one turn, one budget of bytes, one tally.
 */

import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type { Random } from '../runtime/random.js';
import type { TimingWheel } from '../runtime/timing-wheel.js';
import type { Recorder } from './recorder.js';
import type { Tally } from './tally.js';
import type { Turn } from './turn.js';

/** Stream window given at first, and to a stream that has shown it needs more, in octets. */
export const FIRST_WINDOW = 64 * 1024;
export const WIDE_WINDOW = 1024 * 1024;

export interface Relay {
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimingWheel;
  readonly turn: Turn;
  readonly tally: Tally;
  readonly logger: Logger;
  readonly memory: Memory;
  /** Null: nobody writes calls down. */
  recorder: Recorder | null;
  /** Monotonic ms of the read being handled; fresh enough for everything but measuring. */
  nowMs: number;
  /** Whether our own event loop stalled lately: no verdict may rest on time that passed meanwhile. */
  hasStalled(): boolean;
}

/**
 * The budget of payload that the process may hold: what is kept for another attempt or a late status, and what wide
 * stream windows allow peers to send before anybody takes it. First windows are bounded by connections and streams.
 */
export class Memory {
  held = 0;
  constructor(readonly limit: number) {}

  /** Whether `bytes` more may be held; counts them when so. */
  take(bytes: number): boolean {
    if (this.held + bytes > this.limit) return false;
    this.held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.held -= bytes;
  }
}
