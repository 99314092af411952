/**
 * The configuration as the rest of the sidecar sees it: parsed, complete and frozen. All of it follows from the
 * declarations in options/: names by names.ts (durations end in `Ms`, sizes in `Bytes`), defaults filled in.
 */
import type { meshConfig } from './implied-caller.js';
import type { CodeOf } from './names.js';
import type { sidecarFile } from './options/sidecar-file.js';

export type { Address } from './codecs/address.js';
export type { DiscoveryConfig, DiscoveryTarget } from './options/consul/discovery.js';
export type { ModelServerConfig } from './options/mesh-file.js';
export type { IdentityConfig } from './options/sidecar-file.js';
export type { EndpointConfig } from './options/upstream/upstream.js';

/** A sidecar file. */
export type SidecarConfig = CodeOf<typeof sidecarFile>;
export type AccessLogConfig = NonNullable<SidecarConfig['accessLog']>;
/** Bounds against hostile or broken peers; each has a counter of the same name. See http2/limits.ts. */
export type LimitsConfig = SidecarConfig['limits'];
/** Frames of one connection, each kind by itself. See BUCKETS in http2/limits.ts. */
export type FrameRates = LimitsConfig['framesPerSecond'];
/** The model process that the sidecar starts, watches and restarts. */
export type ModelProcessConfig = NonNullable<SidecarConfig['model']>;

export type InboundConfig = NonNullable<SidecarConfig['inbound']>;
export type GoldenConfig = NonNullable<InboundConfig['golden']>;
/** Consul's form: `*` is a wildcard on either side; precedence by specificity, deny wins a tie. */
export type IntentionConfig = InboundConfig['intentions'][number];
export type QueueConfig = InboundConfig['queue'];
/** A token bucket for each caller identity that matches. */
export type RateLimitConfig = NonNullable<InboundConfig['rateLimits']>[number];

export type OutboundConfig = NonNullable<SidecarConfig['outbound']>;
export type UpstreamConfig = OutboundConfig['upstreams'][number];
export type BalanceConfig = UpstreamConfig['balance'];
export type ActiveHealthConfig = NonNullable<UpstreamConfig['health']>;
/** Bounds of one upstream; 0 = no bound. */
export type BreakerConfig = NonNullable<UpstreamConfig['breaker']>;
export type SlowStartConfig = NonNullable<UpstreamConfig['slowStart']>;
export type LocalityConfig = NonNullable<UpstreamConfig['locality']>;
export type EjectionConfig = UpstreamConfig['ejection'];
/** How an endpoint is found out. Absent: faults in a row and what sidecars say of their models. */
export type DetectorsConfig = NonNullable<EjectionConfig['detectors']>;
export type DetectorMode = 'enforce' | 'observe' | 'off';
export type PoolConfig = UpstreamConfig['pool'];
/** Extra attempts allowed: `ratio` of the calls plus `perSecond`. */
export type BudgetConfig = UpstreamConfig['budget'];

/** A route of either side; the last one of a list matches every method. */
export type RouteConfig = UpstreamConfig['routes'][number];
export type RetryConfig = NonNullable<RouteConfig['retry']>;
export type HedgeConfig = NonNullable<RouteConfig['hedge']>;
export type FallbackConfig = NonNullable<RouteConfig['fallback']>[number];
export type SplitConfig = NonNullable<RouteConfig['split']>;
export type MirrorConfig = NonNullable<RouteConfig['mirror']>;

export type ConsulConfig = NonNullable<SidecarConfig['consul']>;
export type RegistrationConfig = NonNullable<ConsulConfig['registration']>;

/** A mesh file. */
export type MeshConfig = ReturnType<typeof meshConfig>;
/** One service: `replicas` model processes of the same kind, each behind a sidecar of its own. */
export type MeshServiceConfig = MeshConfig['services'][number];
/** The application's side: one sidecar with outbound listeners only. */
export type CallerConfig = MeshConfig['caller'];
