/**
 * From the spelled blocks about decisions to the parts of model.ts: limits of inbound calls, care for endpoints, and the
 * detours of routes.
 */
import type { z } from 'zod';
import type { OutcomeOverrides } from '../core/outcome/outcome.js';
import { pathFrom, present } from './build-basics.js';
import { type AnyStatus, statusCode } from './codecs/status-code.js';
import type {
  AccessLogConfig,
  ActiveHealthConfig,
  DetectorsConfig,
  FallbackConfig,
  HedgeConfig,
  MirrorConfig,
  QueueConfig,
  RateLimitConfig,
  RouteConfig,
  SidecarConfig,
  SplitConfig,
  UpstreamConfig,
} from './model.js';
import type { accessLog } from './options/access-log.js';
import type { outcomes } from './options/outcomes.js';
import type { detectors } from './options/outlier-detectors.js';
import type { queue } from './options/queue.js';
import type { rateLimits } from './options/rate-limits.js';
import type { outboundRoute } from './options/route.js';
import type { meshUpstream } from './options/upstream.js';

const MINUTE_MS = 60_000;
const MIB = 1_048_576;

type SaidRoute = z.output<typeof outboundRoute>;
type SaidUpstream = z.output<typeof meshUpstream>;

/** What is written of calls, and whether drills may be held. */
export function buildObservation(
  said: {
    readonly access_log?: z.output<typeof accessLog>;
    readonly fault_injection: boolean;
  },
  baseDir: string,
): Pick<SidecarConfig, 'accessLog' | 'faultInjection'> {
  return {
    ...present('accessLog', said.access_log && buildAccessLog(said.access_log, baseDir)),
    ...(said.fault_injection ? { faultInjection: true } : {}),
  };
}

function buildAccessLog(said: NonNullable<z.output<typeof accessLog>>, baseDir: string): AccessLogConfig {
  return {
    ...present('path', said.path === undefined ? undefined : pathFrom(baseDir, said.path)),
    sampleRatio: said.sample_ratio,
  };
}

export function buildQueue(said: z.output<typeof queue>): QueueConfig {
  return {
    concurrency: said.concurrency,
    maxWaiting: said.max_waiting,
    maxWaitingBytes: said.max_waiting_bytes,
    ...present('adaptive', said.adaptive && { min: said.adaptive.min, max: said.adaptive.max }),
    ...present('priority', said.priority && buildPriority(said.priority)),
    ...(said.fair ? { fair: true } : {}),
  };
}

function buildPriority({
  key,
  classes,
  default_class: defaultClass,
}: NonNullable<z.output<typeof queue>['priority']>): NonNullable<QueueConfig['priority']> {
  return { key, classes: [...classes], defaultClass: defaultClass ?? classes.at(-1) ?? '' };
}

export function buildRateLimits(said: z.output<typeof rateLimits>): readonly RateLimitConfig[] | undefined {
  return said?.map(({ callers, methods, per_second: perSecond, burst }) => ({
    callers,
    methods,
    perSecond,
    burst: burst ?? Math.max(1, Math.ceil(perSecond)),
  }));
}

/** What an upstream says about its endpoints beyond what every upstream has. */
export function buildCare(
  said: SaidUpstream,
): Pick<UpstreamConfig, 'health' | 'breaker' | 'slowStart' | 'locality'> {
  const { health, breaker, slow_start: slowStart, locality } = said;
  return {
    ...present('health', health && buildHealth(health)),
    ...present(
      'breaker',
      breaker && {
        maxConnections: breaker.max_connections,
        maxPending: breaker.max_pending,
        maxInFlight: breaker.max_in_flight,
        maxRetries: breaker.max_retries,
      },
    ),
    ...present(
      'slowStart',
      slowStart && {
        minRatio: slowStart.min_ratio,
        convergedFactor: slowStart.converged_factor,
        minCalls: slowStart.min_calls,
        maxMs: slowStart.max,
      },
    ),
    ...present('locality', locality && { own: locality.own, spillBelow: locality.spill_below }),
  };
}

function buildHealth(said: NonNullable<SaidUpstream['health']>): ActiveHealthConfig {
  return {
    kind: said.kind,
    service: said.service ?? '',
    intervalMs: said.interval,
    ...present('timeoutMs', said.timeout),
    unhealthyThreshold: said.unhealthy_threshold,
    healthyThreshold: said.healthy_threshold,
  };
}

export function buildDetectors(said: z.output<typeof detectors>): Required<DetectorsConfig> {
  const { success_ratio: ratio, success_rate: rate, failure_ratio: failures, latency } = said;
  const output = said.invalid_output;
  return {
    consecutive: { mode: said.consecutive.mode },
    modelUnavailable: { mode: said.model_unavailable.mode },
    successRatio: { mode: ratio.mode, below: ratio.below, minCalls: ratio.min_calls },
    successRate: {
      mode: rate.mode,
      factor: rate.factor,
      minPeers: rate.min_peers,
      minCalls: rate.min_calls,
    },
    failureRatio: {
      mode: failures.mode,
      above: failures.above,
      minPeers: failures.min_peers,
      minCalls: failures.min_calls,
    },
    latency: { mode: latency.mode, factor: latency.factor, minCalls: latency.min_calls },
    invalidOutput: {
      mode: output.mode,
      above: output.above,
      minSamples: output.min_samples,
      sampleRatio: output.sample_ratio,
    },
  };
}

export function buildOutcomes(said: z.output<typeof outcomes>): OutcomeOverrides | undefined {
  if (said === undefined) return undefined;
  const codes = (names: readonly AnyStatus[] | undefined) => names?.map(statusCode);
  return {
    ...present('success', codes(said.success)),
    ...present('fault', codes(said.fault)),
    ...present('neutral', codes(said.neutral)),
    ...present('overload', codes(said.overload)),
  };
}

/** `upstream`: the one whose route it is. */
export function buildDetours(
  upstream: string,
  said: SaidRoute,
): Pick<RouteConfig, 'hedge' | 'fallback' | 'split' | 'mirror'> {
  return {
    ...present('hedge', said.hedge && buildHedge(said.hedge)),
    ...present('fallback', said.fallback?.map(buildFallback)),
    ...present('split', said.split && buildSplit(upstream, said.split)),
    ...present('mirror', said.mirror && buildMirror(said.mirror)),
  };
}

function buildHedge(said: NonNullable<SaidRoute['hedge']>): HedgeConfig {
  return { percentile: said.percentile, minDelayMs: said.min_delay, maxRatio: said.max_ratio };
}

/** The schema made sure that `upstream` has its name. */
function buildFallback(said: NonNullable<SaidRoute['fallback']>[number]): FallbackConfig {
  const { kind, upstream = '', max_age: maxAgeMs = 5 * MINUTE_MS, max_bytes: maxBytes = 16 * MIB } = said;
  if (kind === 'upstream') return { kind, upstream };
  return { kind, maxAgeMs, maxBytes, ...present('vary', said.vary) };
}

function buildSplit(upstream: string, said: NonNullable<SaidRoute['split']>): SplitConfig {
  return {
    match: said.match.map(({ key, value, upstream: to }) => ({ key, value, upstream: to })),
    weights: { ...(said.weights ?? { [upstream]: 1 }) },
    ...present('stickyBy', said.sticky_by),
  };
}

function buildMirror(said: NonNullable<SaidRoute['mirror']>): MirrorConfig {
  return {
    upstream: said.upstream,
    ratio: said.ratio,
    maxInFlight: said.max_in_flight,
    tolerance: said.tolerance,
  };
}
