/**
 * Writing a SidecarConfig back as a sidecar file. `outrider up` writes one for each sidecar it starts.
 *
 * Everything is said, defaults included, so that reading the file gives the same configuration whatever the
 * defaults of the reader are.
 */
import { stringify } from 'yaml';
import { present } from './build-basics.js';
import { writeAddress } from './codecs/address.js';
import { writeDuration } from './codecs/duration.js';
import { writeSize } from './codecs/size.js';
import { retryableName } from './codecs/status-code.js';
import type {
  EndpointConfig,
  InboundConfig,
  LimitsConfig,
  ModelProcessConfig,
  OutboundConfig,
  RetryConfig,
  RouteConfig,
  SidecarConfig,
  UpstreamConfig,
} from './model.js';
import { spellConsul, spellDiscovery } from './stringify-consul.js';
import {
  spellCare,
  spellDetours,
  spellEjection,
  spellObservation,
  spellOutcomes,
  spellQueue,
  spellRateLimit,
} from './stringify-decisions.js';

/**
 * Parsing the result gives an equal configuration, provided the given one could have come from a file with
 * absolute paths. Throws RangeError for a number that no file can say.
 */
export function stringifySidecar(config: SidecarConfig): string {
  return stringify(spellSidecar(config), { lineWidth: 0, aliasDuplicateObjects: false });
}

function spellSidecar(config: SidecarConfig): Record<string, unknown> {
  const { identity, consul } = config;
  const cluster = identity.kind === 'consul';
  return {
    service: config.service,
    instance: config.instance,
    ...(cluster ? {} : { trust_domain: config.trustDomain, datacenter: config.datacenter }),
    ...(identity.kind === 'files'
      ? { identity: { cert: identity.cert, key: identity.key, roots: identity.roots } }
      : {}),
    ...present('consul', consul && spellConsul(consul)),
    ...present('admin', config.admin && writeAddress(config.admin)),
    drain_timeout: writeDuration(config.drainTimeoutMs),
    log: { level: config.log.level },
    ...spellObservation(config),
    limits: spellLimits(config.limits),
    ...present('inbound', config.inbound && spellInbound(config.inbound, consul?.intentions === true)),
    ...present('outbound', config.outbound && spellOutbound(config.outbound)),
    ...present('model', config.model && spellModel(config.model)),
  };
}

function spellLimits(limits: LimitsConfig): Record<string, unknown> {
  return {
    max_connections: limits.maxConnections,
    max_concurrent_streams: limits.maxConcurrentStreams,
    max_header_bytes: writeSize(limits.maxHeaderBytes),
    max_header_fields: limits.maxHeaderFields,
    handshake_timeout: writeDuration(limits.handshakeTimeoutMs),
    handshakes_per_second: limits.handshakesPerSecond,
    frames_per_second: {
      pings: limits.framesPerSecond.pings,
      resets: limits.framesPerSecond.resets,
      settings: limits.framesPerSecond.settings,
      window_updates: limits.framesPerSecond.windowUpdates,
      empty: limits.framesPerSecond.empty,
      ignored: limits.framesPerSecond.ignored,
      violations: limits.framesPerSecond.violations,
    },
    memory_budget: writeSize(limits.memoryBudgetBytes),
    replay_bytes_per_call: writeSize(limits.replayBytesPerCall),
  };
}

/** Where Consul says who may call, the file must not. */
function spellInbound(inbound: InboundConfig, consulSays: boolean): Record<string, unknown> {
  const { golden } = inbound;
  return {
    listen: writeAddress(inbound.listen),
    mtls: inbound.mtls,
    local: writeAddress(inbound.local),
    ...(consulSays ? {} : spellIntentions(inbound)),
    ...present('golden', golden && { models: golden.models, interval: writeDuration(golden.intervalMs) }),
    queue: spellQueue(inbound.queue),
    ...present('rate_limits', inbound.rateLimits?.map(spellRateLimit)),
    routes: inbound.routes.map(spellTimes),
  };
}

function spellIntentions(inbound: InboundConfig): Record<string, unknown> {
  return {
    intentions: inbound.intentions.map(({ from, to, action }) => ({
      from: from,
      to: to,
      action,
    })),
    default_intention: inbound.defaultIntention,
  };
}

function spellOutbound(outbound: OutboundConfig): Record<string, unknown> {
  const { shared } = outbound;
  return {
    ...present(
      'shared',
      shared && {
        listen: writeAddress(shared.listen),
        by: shared.by,
        ...(shared.by === 'metadata' ? { metadata_key: shared.metadataKey } : {}),
      },
    ),
    upstreams: Object.fromEntries(
      outbound.upstreams.map((upstream) => [upstream.name, spellUpstream(upstream)]),
    ),
  };
}

function spellUpstream(upstream: UpstreamConfig): Record<string, unknown> {
  const { consul, pool, budget } = upstream;
  return {
    ...present('listen', upstream.listen && writeAddress(upstream.listen)),
    tls: upstream.tls,
    ...(consul === undefined
      ? { endpoints: upstream.endpoints.map(spellEndpoint) }
      : { consul: spellDiscovery(consul) }),
    balance: upstream.balance,
    ...spellCare(upstream),
    ejection: spellEjection(upstream.ejection),
    pool: {
      ...present('max_endpoints', pool.maxEndpoints),
      connections: pool.connections,
      connect_timeout: writeDuration(pool.connectTimeoutMs),
      ping_interval: writeDuration(pool.pingIntervalMs),
      ping_timeout: writeDuration(pool.pingTimeoutMs),
      max_age: writeDurationOrNone(pool.maxAgeMs),
    },
    budget: { ratio: budget.ratio, per_second: budget.perSecond },
    routes: upstream.routes.map(spellOutboundRoute),
  };
}

function spellEndpoint({ address, weight, locality, id }: EndpointConfig): Record<string, unknown> {
  return { address: writeAddress(address), weight, ...present('locality', locality), id };
}

function spellTimes(route: RouteConfig): Record<string, unknown> {
  return {
    methods: route.methods,
    kind: route.kind,
    timeout: writeDurationOrNone(route.timeoutMs),
    max_timeout: writeDurationOrNone(route.maxTimeoutMs ?? 0),
    idle_timeout: writeDurationOrNone(route.idleTimeoutMs),
  };
}

function spellOutboundRoute(route: RouteConfig): Record<string, unknown> {
  return {
    ...spellTimes(route),
    idempotent: route.idempotent,
    attempt_timeout: writeDurationOrNone(route.attemptTimeoutMs),
    ...present('outcomes', route.outcomes && spellOutcomes(route.outcomes)),
    ...present('retry', route.retry && spellRetry(route.retry)),
    ...spellDetours(route),
  };
}

function spellRetry(retry: RetryConfig): Record<string, unknown> {
  return {
    attempts: retry.attempts,
    on: retry.on.map(retryableName),
    backoff: { base: writeDuration(retry.backoff.baseMs), max: writeDuration(retry.backoff.maxMs) },
  };
}

function spellModel(model: ModelProcessConfig): Record<string, unknown> {
  return {
    ...(model.command.length === 0 ? {} : { command: model.command }),
    ...present('isolation', model.isolation),
    env: model.env,
    inherit: model.inherit,
    start_timeout: writeDuration(model.startTimeoutMs),
    longest_run: writeDuration(model.longestRunMs),
    restart: {
      base: writeDuration(model.restart.baseMs),
      max: writeDuration(model.restart.maxMs),
      limit: spellRestartLimit(model.restart.limit),
      retry_after: writeDuration(model.restart.retryAfterMs),
    },
    stop_timeout: writeDuration(model.stopTimeoutMs),
  };
}

function spellRestartLimit({ starts, withinMs }: ModelProcessConfig['restart']['limit']): unknown {
  return { starts: starts === 0 ? 'none' : starts, within: writeDuration(withinMs) };
}

function writeDurationOrNone(ms: number): string {
  return ms === 0 ? 'none' : writeDuration(ms);
}
