/**
 * From spelled blocks to the parts of model.ts that both kinds of file share: names, units and what is left unsaid.
 */

import type { z } from 'zod';
import { areReadOnly } from '../core/routing/method.js';
import { addressFrom, present } from './build-basics.js';
import { buildDiscovery } from './build-consul.js';
import { buildCare, buildDetectors, buildDetours, buildOutcomes } from './build-decisions.js';
import { retryableCode } from './codecs/status-code.js';
import type {
  BalanceConfig,
  EjectionConfig,
  IntentionConfig,
  LimitsConfig,
  ModelProcessConfig,
  OutboundConfig,
  RetryConfig,
  RouteConfig,
  UpstreamConfig,
} from './model.js';
import type { balance } from './options/balance.js';
import type { limits } from './options/limits.js';
import { meshModelProcess } from './options/model-process.js';
import type { inboundRoute, outboundRoute } from './options/route.js';
import type { intentions } from './options/shared.js';
import type { meshUpstream } from './options/upstream.js';
import type { sharedListener } from './options/upstreams.js';
import {
  completeRoutes,
  defaultIdleTimeoutMs,
  defaultKind,
  defaultTimeoutMs,
  READ_ONLY_RETRY,
} from './route-defaults.js';

export type SpelledIntentions = NonNullable<z.output<typeof intentions>>;

export function buildIntentions(said: SpelledIntentions): IntentionConfig[] {
  return said.map(({ from, to, action }) => ({ from, to, action }));
}

export function buildLimits(said: z.output<typeof limits>): LimitsConfig {
  return {
    maxConnections: said.max_connections,
    maxConcurrentStreams: said.max_concurrent_streams,
    maxHeaderBytes: said.max_header_bytes,
    maxHeaderFields: said.max_header_fields,
    handshakeTimeoutMs: said.handshake_timeout,
    handshakesPerSecond: said.handshakes_per_second,
    framesPerSecond: {
      pings: said.frames_per_second.pings,
      resets: said.frames_per_second.resets,
      settings: said.frames_per_second.settings,
      windowUpdates: said.frames_per_second.window_updates,
      empty: said.frames_per_second.empty,
      ignored: said.frames_per_second.ignored,
      violations: said.frames_per_second.violations,
    },
    memoryBudgetBytes: said.memory_budget,
    replayBytesPerCall: said.replay_bytes_per_call,
  };
}

export function buildModelProcess(
  said: z.output<typeof meshModelProcess>,
): Omit<ModelProcessConfig, 'command'> {
  return {
    env: { ...said.env },
    inherit: said.inherit,
    startTimeoutMs: said.start_timeout,
    longestRunMs: said.longest_run,
    restart: {
      baseMs: said.restart.base,
      maxMs: said.restart.max,
      limit: { starts: said.restart.limit.starts, withinMs: said.restart.limit.within },
      retryAfterMs: said.restart.retry_after,
    },
    stopTimeoutMs: said.stop_timeout,
  };
}

/** What a file says that says nothing of the model process. */
export function defaultModelProcess(): Omit<ModelProcessConfig, 'command'> {
  return buildModelProcess(meshModelProcess.parse({}));
}

export function buildInboundRoutes(said: readonly z.output<typeof inboundRoute>[]): RouteConfig[] {
  return completeRoutes(
    said.map((route) => ({ ...times(route), idempotent: false, attemptTimeoutMs: 0 })),
    'inbound',
  );
}

function buildOutboundRoutes(
  upstream: string,
  said: readonly z.output<typeof outboundRoute>[],
): RouteConfig[] {
  return completeRoutes(
    said.map((route) => ({
      ...times(route),
      ...buildRepeats(route),
      attemptTimeoutMs: route.attempt_timeout,
      ...present('outcomes', buildOutcomes(route.outcomes)),
      ...buildDetours(upstream, route),
    })),
  );
}

/** Methods that only read need not say so. */
function buildRepeats({
  idempotent,
  retry,
  methods,
}: z.output<typeof outboundRoute>): Pick<RouteConfig, 'idempotent' | 'retry'> {
  const isReading = idempotent === undefined && areReadOnly(methods);
  return {
    idempotent: idempotent ?? isReading,
    ...present('retry', buildRetry(retry) ?? (isReading ? READ_ONLY_RETRY : undefined)),
  };
}

function times(
  route: z.output<typeof inboundRoute>,
): Pick<RouteConfig, 'methods' | 'kind' | 'timeoutMs' | 'maxTimeoutMs' | 'idleTimeoutMs'> {
  const kind = route.kind ?? defaultKind(route.methods);
  return {
    methods: route.methods,
    kind,
    timeoutMs: route.timeout ?? defaultTimeoutMs(kind),
    // Absent and `none` are the same.
    ...present('maxTimeoutMs', route.max_timeout || undefined),
    idleTimeoutMs: route.idle_timeout ?? defaultIdleTimeoutMs(kind),
  };
}

function buildRetry(said: z.output<typeof outboundRoute>['retry']): RetryConfig | undefined {
  if (said === undefined) return undefined;
  return {
    attempts: said.attempts,
    on: said.on.map(retryableCode),
    backoff: { baseMs: said.backoff.base, maxMs: said.backoff.max },
  };
}

export function buildUpstream(
  name: string,
  said: z.output<typeof meshUpstream>,
  baseDir: string,
): Omit<UpstreamConfig, 'endpoints'> {
  return {
    name,
    ...present('listen', said.listen && addressFrom(baseDir, said.listen)),
    tls: said.tls,
    ...present('consul', said.consul && buildDiscovery(name, said.consul)),
    balance: buildBalance(said.balance),
    ...buildCare(said),
    ejection: buildEjection(said.ejection),
    pool: {
      maxEndpoints: said.pool.max_endpoints,
      connections: said.pool.connections,
      connectTimeoutMs: said.pool.connect_timeout,
      pingIntervalMs: said.pool.ping_interval,
      pingTimeoutMs: said.pool.ping_timeout,
      maxAgeMs: said.pool.max_age,
    },
    budget: { ratio: said.budget.ratio, perSecond: said.budget.per_second },
    routes: buildOutboundRoutes(name, said.routes),
  };
}

/** The schema made sure that `ring-hash` has its key. */
function buildBalance({ kind, key = '' }: z.output<typeof balance>): BalanceConfig {
  return kind === 'ring-hash' ? { kind, key } : { kind };
}

function buildEjection(said: z.output<typeof meshUpstream>['ejection']): EjectionConfig {
  return {
    mode: said.mode,
    consecutiveFaults: said.consecutive_faults,
    baseMs: said.base,
    maxMs: said.max,
    jitter: said.jitter,
    detectors: buildDetectors(said.detectors),
  };
}

export function buildShared(
  said: z.output<typeof sharedListener>,
  baseDir: string,
): OutboundConfig['shared'] {
  if (said === undefined) return undefined;
  return {
    listen: addressFrom(baseDir, said.listen),
    by: said.by,
    metadataKey: said.metadata_key ?? 'outrider-upstream',
  };
}
