import type { Logger } from '../runtime/log/logger.js';
import type { Random } from '../runtime/random.js';
import type { Clock } from '../runtime/time/clock.js';
import type { TimingWheel } from '../runtime/time/timing-wheel.js';
import type { AuditTrail } from '../telemetry/audit/trail.js';
import type { Recorder } from '../telemetry/call-record.js';
import type { StatsRegistry } from '../telemetry/call-stats.js';
import type { CallTracer } from '../telemetry/traces/call-trace.js';
import { Containment } from './containment.js';
import type { FlushScheduler } from './flush-scheduler.js';
import type { MemoryBudget } from './memory-budget.js';
import type { Network } from './network.js';

/** Connections to one endpoint, as they are looked at again when the roots have changed. */
export interface Reviewed {
  review(): void;
}

/** What every part of the data plane shares: one clock, one timing wheel, one flush scheduler, one memory budget, one registry of counters. */
export interface DataPlaneContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimingWheel;
  readonly flushes: FlushScheduler;
  readonly stats: StatsRegistry;
  readonly logger: Logger;
  /** Where decisions that are asked about later are written. */
  readonly audit: AuditTrail;
  readonly memory: MemoryBudget;
  /** Who has connections to endpoints; those of endpoints that have left stay until their last call has ended. */
  readonly connected: Set<Reviewed>;
  /** Where plain sockets and listening servers come from. */
  readonly network: Network;
  /** Ends what was worked for when something throws. */
  readonly containment: Containment;
  /** Gets every call at its end; null: calls are not recorded. */
  recorder: Recorder | null;
  /** Puts calls into traces as they are sent on; null: traces are off. */
  tracer: CallTracer | null;
  /** Monotonic ms of the read, or the timer, that is being handled. Set by it; fresh enough for everything but measuring. */
  nowMs: number;
  /** Whether this process's event loop stalled lately: time that passed meanwhile proves nothing about a peer. */
  hasStalled(): boolean;
}

/** The containment of a data plane of these parts, to which its timers and its flushes hand what is thrown. */
export function containmentOf({
  stats,
  clock,
  logger,
  wheel,
  flushes,
}: Pick<DataPlaneContext, 'stats' | 'clock' | 'logger' | 'wheel' | 'flushes'>): Containment {
  const containment = new Containment(stats, clock, logger);
  wheel.onThrow = (entry, error) => containment.contain(entry, error);
  flushes.onThrow = (session, error) => containment.contain(session, error);
  return containment;
}
