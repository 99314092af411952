/**
 * Writing what a configuration says about decisions back as the blocks of a sidecar file.
 */
import type { OutcomeOverrides } from '../core/outcome/outcome.js';
import { present } from './build-basics.js';
import { writeDuration } from './codecs/duration.js';
import { writeSize } from './codecs/size.js';
import { statusSpelling } from './codecs/status-code.js';
import type {
  ActiveHealthConfig,
  BreakerConfig,
  DetectorsConfig,
  EjectionConfig,
  FallbackConfig,
  QueueConfig,
  RateLimitConfig,
  RouteConfig,
  SidecarConfig,
  SplitConfig,
  UpstreamConfig,
} from './model.js';

export function spellObservation({
  accessLog,
  faultInjection,
}: Pick<SidecarConfig, 'accessLog' | 'faultInjection'>): Record<string, unknown> {
  return {
    ...present(
      'access_log',
      accessLog && { ...present('path', accessLog.path), sample_ratio: accessLog.sampleRatio },
    ),
    fault_injection: faultInjection === true,
  };
}

export function spellQueue(queue: QueueConfig): Record<string, unknown> {
  return {
    concurrency: queue.concurrency,
    max_waiting: queue.maxWaiting,
    max_waiting_bytes: writeSize(queue.maxWaitingBytes),
    ...present('adaptive', queue.adaptive),
    ...present('priority', queue.priority && spellPriority(queue.priority)),
    fair: queue.fair === true,
  };
}

function spellPriority({ key, classes, defaultClass }: NonNullable<QueueConfig['priority']>) {
  return { key, classes, default_class: defaultClass };
}

export function spellRateLimit(limit: RateLimitConfig): Record<string, unknown> {
  const { callers, methods, perSecond, burst } = limit;
  return { callers, methods, per_second: perSecond, burst };
}

export function spellCare(upstream: UpstreamConfig): Record<string, unknown> {
  const { health, breaker, slowStart, locality } = upstream;
  return {
    ...present('health', health && spellHealth(health)),
    ...present('breaker', breaker && spellBreaker(breaker)),
    ...present(
      'slow_start',
      slowStart && {
        min_ratio: slowStart.minRatio,
        converged_factor: slowStart.convergedFactor,
        min_calls: slowStart.minCalls,
        max: writeDuration(slowStart.maxMs),
      },
    ),
    ...present('locality', locality && { own: locality.own, spill_below: locality.spillBelow }),
  };
}

function spellHealth(health: ActiveHealthConfig): Record<string, unknown> {
  return {
    kind: health.kind,
    ...(health.kind === 'grpc' ? { service: health.service } : {}),
    interval: writeDuration(health.intervalMs),
    ...present('timeout', health.timeoutMs === undefined ? undefined : writeDuration(health.timeoutMs)),
    unhealthy_threshold: health.unhealthyThreshold,
    healthy_threshold: health.healthyThreshold,
  };
}

function spellBreaker(breaker: BreakerConfig): Record<string, unknown> {
  return {
    max_connections: orNone(breaker.maxConnections),
    max_pending: orNone(breaker.maxPending),
    max_in_flight: orNone(breaker.maxInFlight),
    max_retries: orNone(breaker.maxRetries),
  };
}

function orNone(bound: number): number | 'none' {
  return bound === 0 ? 'none' : bound;
}

export function spellEjection(ejection: EjectionConfig): Record<string, unknown> {
  return {
    mode: ejection.mode,
    consecutive_faults: ejection.consecutiveFaults,
    base: writeDuration(ejection.baseMs),
    max: writeDuration(ejection.maxMs),
    jitter: ejection.jitter,
    detectors: spellDetectors(ejection.detectors ?? {}),
  };
}

/** An absent detector does not look, the first two aside; a file that leaves it out would get the default. */
const OFF = { mode: 'off' };

function spellDetectors(detectors: DetectorsConfig): Record<string, unknown> {
  const { consecutive, modelUnavailable, successRatio, successRate, failureRatio, latency, invalidOutput } =
    detectors;
  return {
    consecutive: { mode: consecutive?.mode ?? 'enforce' },
    model_unavailable: { mode: modelUnavailable?.mode ?? 'enforce' },
    success_ratio: successRatio
      ? { mode: successRatio.mode, below: successRatio.below, min_calls: successRatio.minCalls }
      : OFF,
    success_rate: successRate
      ? {
          mode: successRate.mode,
          factor: successRate.factor,
          min_peers: successRate.minPeers,
          min_calls: successRate.minCalls,
        }
      : OFF,
    failure_ratio: failureRatio
      ? {
          mode: failureRatio.mode,
          above: failureRatio.above,
          min_peers: failureRatio.minPeers,
          min_calls: failureRatio.minCalls,
        }
      : OFF,
    latency: latency ? { mode: latency.mode, factor: latency.factor, min_calls: latency.minCalls } : OFF,
    invalid_output: invalidOutput
      ? {
          mode: invalidOutput.mode,
          above: invalidOutput.above,
          min_samples: invalidOutput.minSamples,
          sample_ratio: invalidOutput.sampleRatio,
        }
      : OFF,
  };
}

export function spellOutcomes(overrides: OutcomeOverrides): Record<string, unknown> {
  const { success, fault, neutral, overload } = overrides;
  return {
    ...present('success', success?.map(statusSpelling)),
    ...present('fault', fault?.map(statusSpelling)),
    ...present('neutral', neutral?.map(statusSpelling)),
    ...present('overload', overload?.map(statusSpelling)),
  };
}

export function spellDetours(route: RouteConfig): Record<string, unknown> {
  const { hedge, fallback, split, mirror } = route;
  return {
    ...present(
      'hedge',
      hedge && {
        percentile: hedge.percentile,
        min_delay: writeDuration(hedge.minDelayMs),
        max_ratio: hedge.maxRatio,
      },
    ),
    ...present('fallback', fallback?.map(spellFallback)),
    ...present('split', split && spellSplit(split)),
    ...present(
      'mirror',
      mirror && {
        upstream: mirror.upstream,
        ratio: mirror.ratio,
        max_in_flight: mirror.maxInFlight,
        tolerance: mirror.tolerance,
      },
    ),
  };
}

function spellFallback(fallback: FallbackConfig): Record<string, unknown> {
  if (fallback.kind === 'upstream') return { kind: fallback.kind, upstream: fallback.upstream };
  return {
    kind: fallback.kind,
    max_age: writeDuration(fallback.maxAgeMs),
    max_bytes: writeSize(fallback.maxBytes),
    ...present('vary', fallback.vary),
  };
}

function spellSplit({ match, weights, stickyBy }: SplitConfig): Record<string, unknown> {
  return {
    match,
    weights,
    ...present('sticky_by', stickyBy),
  };
}
