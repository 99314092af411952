import type { SidecarConfig } from '../config/model.js';
import { bucketsOf } from '../http2/limits.js';
import { DEFAULT_LOCAL_SETTINGS, type LocalSettings } from '../http2/settings.js';
import type { EventLoopMonitor } from '../runtime/process/event-loop-monitor.js';
import { TimingWheel } from '../runtime/time/timing-wheel.js';
import { deferToTurnEnd } from '../runtime/time/turn-end.js';
import type { AuditTrail } from '../telemetry/audit/trail.js';
import { StatsRegistry } from '../telemetry/call-stats.js';
import { containmentOf, type DataPlaneContext } from '../transport/context.js';
import { FlushScheduler } from '../transport/flush-scheduler.js';
import { MemoryBudget } from '../transport/memory-budget.js';
import { SYSTEM_NETWORK } from '../transport/network.js';
import type { Deps } from './context.js';

/**
 * For this long after a stall of our own event loop, elapsed time proves nothing about peers, ms.
 */
const STALL_MEMORY_MS = 1000;

/**
 * What the calls of one sidecar share: its clocks, timing wheel, flushes, counters and memory
 * budget.
 *
 * @param loopMonitor is started by each flush, because there is work then; it stops by itself.
 */
export function createDataPlane(
  { limits }: Pick<SidecarConfig, 'limits'>,
  { clock, random, timers, logger, network = SYSTEM_NETWORK, defer = deferToTurnEnd }: Deps,
  loopMonitor: EventLoopMonitor,
  audit: AuditTrail,
): DataPlaneContext {
  const wheel = new TimingWheel(clock, timers);
  const flushes = new FlushScheduler((flush) => {
    loopMonitor.start();
    defer(flush);
  }, timers);
  const stats = new StatsRegistry();
  return {
    clock,
    random,
    logger,
    audit,
    wheel,
    flushes,
    stats,
    containment: containmentOf({ stats, clock, logger, wheel, flushes }),
    memory: new MemoryBudget(limits.memoryBudgetBytes),
    connected: new Set(),
    network,
    recorder: null,
    tracer: null,
    nowMs: clock.now(),
    hasStalled: () => loopMonitor.hasStalled(STALL_MEMORY_MS),
  };
}

/**
 * HTTP/2 settings and limits of every connection, from the `limits` block. Rates are in frames per
 * second.
 */
export function localSettings({ limits }: Pick<SidecarConfig, 'limits'>): LocalSettings {
  const rates = limits.framesPerSecond;
  return {
    ...DEFAULT_LOCAL_SETTINGS,
    maxConcurrentStreams: limits.maxConcurrentStreams,
    maxHeaderBytes: limits.maxHeaderBytes,
    maxHeaderFields: limits.maxHeaderFields,
    buckets: bucketsOf({
      pings: rates.pings,
      'rapid-resets': rates.resets,
      settings: rates.settings,
      'window-updates': rates.windowUpdates,
      'empty-frames': rates.empty,
      'idle-frames': rates.ignored,
      violations: rates.violations,
    }),
  };
}
