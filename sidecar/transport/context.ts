/**
 * What every part of the data plane shares: one clock, one timing wheel, one turn, one budget of bytes, one tally.
 */

import type { Logger } from '../runtime/log/logger.js';
import type { Random } from '../runtime/random.js';
import type { Clock } from '../runtime/time/clock.js';
import type { TimingWheel } from '../runtime/time/timing-wheel.js';
import type { Recorder } from '../telemetry/call-record.js';
import type { StatsRegistry } from '../telemetry/call-stats.js';
import type { FlushScheduler } from './flush-scheduler.js';
import type { MemoryBudget } from './memory-budget.js';

export interface DataPlaneContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimingWheel;
  readonly flushes: FlushScheduler;
  readonly stats: StatsRegistry;
  readonly logger: Logger;
  readonly memory: MemoryBudget;
  /** Null: nobody writes calls down. */
  recorder: Recorder | null;
  /** Monotonic ms of the read being handled; fresh enough for everything but measuring. */
  nowMs: number;
  /** Whether our own event loop stalled lately: no verdict may rest on time that passed meanwhile. */
  hasStalled(): boolean;
}
