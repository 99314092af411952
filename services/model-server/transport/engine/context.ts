import { systemRandom } from '../../../../sidecar/runtime/random.js';
import { systemClock } from '../../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { TimingWheel } from '../../../../sidecar/runtime/time/timing-wheel.js';
import { deferToTurnEnd } from '../../../../sidecar/runtime/time/turn-end.js';
import { StatsRegistry } from '../../../../sidecar/telemetry/call-stats.js';
import { containmentOf, type DataPlaneContext } from '../../../../sidecar/transport/context.js';
import { FlushScheduler } from '../../../../sidecar/transport/flush-scheduler.js';
import { MemoryBudget } from '../../../../sidecar/transport/memory-budget.js';
import { SYSTEM_NETWORK } from '../../../../sidecar/transport/network.js';
import type { TransportOptions } from '../transport.js';

/** What the connections of one model server share. What they report goes to `log`, a line each. */
export function engineContext({ log, memoryBytes }: TransportOptions): DataPlaneContext {
  const say = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    const { error, ...rest } = fields;
    const why = error instanceof Error ? (error.stack ?? error.message) : error;
    log(`${message}: ${JSON.stringify(why === undefined ? rest : { ...rest, error: why })}`);
  };
  const parts = {
    clock: systemClock,
    wheel: new TimingWheel(systemClock, systemTimers),
    flushes: new FlushScheduler(deferToTurnEnd, systemTimers),
    stats: new StatsRegistry(),
    logger: { debug: () => {}, info: () => {}, warn: say, error: say, setLevel: () => {}, flush: () => {} },
  };
  return {
    ...parts,
    containment: containmentOf(parts),
    random: systemRandom,
    // Decisions about calls are the sidecar's.
    audit: { record: () => {} },
    memory: new MemoryBudget(memoryBytes),
    connected: new Set(),
    network: SYSTEM_NETWORK,
    recorder: null,
    tracer: null,
    nowMs: systemClock.now(),
    // Only asked about peers that are judged by time: outbound connections.
    hasStalled: () => false,
  };
}
