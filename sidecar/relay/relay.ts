/**
 * What every part of the data plane shares: one clock, one timing wheel, one turn, one budget of bytes, one tally.
 */

import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type { Random } from '../runtime/random.js';
import type { TimingWheel } from '../runtime/timing-wheel.js';
import { FIRST_WINDOW, Memory, WIDE_WINDOW } from './memory.js';
import type { Recorder } from './recorder.js';
import type { Tally } from './tally.js';
import type { Turn } from './turn.js';

export { FIRST_WINDOW, Memory, WIDE_WINDOW };

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
