/**
 * The configuration as the rest of the sidecar sees it: parsed, complete and frozen. All of it follows from the
 * declarations in options/: names by names.ts (durations end in `Ms`, sizes in `Bytes`), defaults filled in.
 */
import type { meshConfig } from './implied-caller.js';
import type { CodeOf } from './names.js';
import type { sidecarFile } from './options/sidecar-file.js';

export type { Address } from './codecs/address.js';
export type { AdoptedLimits, AdoptedProxy, AdoptedUpstream } from './options/consul/adopt.js';
export type { DiscoveryConfig, DiscoveryTarget } from './options/consul/discovery.js';
export type { ModelServerConfig } from './options/mesh/service.js';
export type { IdentityConfig } from './options/sidecar-file.js';
export type { EndpointConfig } from './options/upstream/endpoints.js';

export type SidecarConfig = CodeOf<typeof sidecarFile>;
/** One line for each call, or for a share of the successful ones. */
export type AccessLogConfig = NonNullable<SidecarConfig['accessLog']>;
/** Where spans go, and of which calls. */
export type TracesConfig = NonNullable<SidecarConfig['traces']>;
/** Where metrics go, and how often. */
export type MetricsConfig = NonNullable<SidecarConfig['metrics']>;
/** The model process that the sidecar starts, watches and restarts. */
export type ModelProcessConfig = NonNullable<SidecarConfig['model']>;

/** The side of the local model: where peers call, which may, and how many calls it takes. */
export type InboundConfig = NonNullable<SidecarConfig['inbound']>;
/** Consul's form: `*` is a wildcard on either side; precedence by specificity, deny wins a tie. */
export type IntentionConfig = InboundConfig['intentions'][number];
/** The queue before the local model. */
export type QueueConfig = InboundConfig['queue'];
/** What callers are told of the load. */
export type LoadReportConfig = InboundConfig['loadReport'];
/** A token bucket for each caller identity that matches. */
export type RateLimitConfig = NonNullable<InboundConfig['rateLimits']>[number];

/** The side of the local application: the services that it calls. */
export type OutboundConfig = NonNullable<SidecarConfig['outbound']>;
/** A mesh service that is called; its SPIFFE id is what every endpoint must present. */
export type UpstreamConfig = OutboundConfig['upstreams'][number];
/** The DNS name whose addresses are the endpoints. */
export type DnsConfig = NonNullable<UpstreamConfig['dns']>;
/** The Service of Kubernetes whose pods are the endpoints. */
export type KubernetesConfig = NonNullable<UpstreamConfig['kubernetes']>;
/** `balance.hash_on`. */
export type HashOn = NonNullable<
  Extract<UpstreamConfig['balance'], { readonly kind: 'ring-hash' }>['hashOn']
>;

/** What endpoints are asked of their load; `intervalMs` 0: nothing. */
export type LoadReportsConfig = UpstreamConfig['loadReports'];
/** One prober for each endpoint, however many routes lead to it. */
export type ActiveHealthConfig = NonNullable<UpstreamConfig['health']>;
/** Bounds of one upstream; 0 = no bound. */
export type BreakerConfig = NonNullable<UpstreamConfig['breaker']>;
/** A new endpoint gets a growing share. Absent: it gets its share at once. */
export type SlowStartConfig = NonNullable<UpstreamConfig['slowStart']>;
/** When an endpoint is taken out, and for how long. */
export type EjectionConfig = UpstreamConfig['ejection'];
/** How an endpoint is found out. Absent: faults in a row and what sidecars say of their models. */
export type DetectorsConfig = NonNullable<EjectionConfig['detectors']>;
/** Suspicions from an endpoint's own past. Absent: off. */
export type ForesightConfig = NonNullable<UpstreamConfig['foresight']>;
/** The connections to each endpoint. `maxEndpoints` absent: 128; `maxAgeMs` 0: never replaced. */
export type PoolConfig = UpstreamConfig['pool'];

/** A route of either side; the last one of a list matches every method. */
export type RouteConfig = UpstreamConfig['routes'][number];
/** A second copy of an idempotent unary call; the first answer wins, the other is reset. */
export type HedgeConfig = NonNullable<RouteConfig['hedge']>;
/** One step of a fallback chain. */
export type FallbackConfig = NonNullable<RouteConfig['fallback']>[number];
/** Where the calls go that the application makes to an upstream: first match, else by weight. */
export type SplitConfig = NonNullable<RouteConfig['split']>;
/** A copy of the request goes there too; its answer is compared and thrown away. */
export type MirrorConfig = NonNullable<RouteConfig['mirror']>;

/** The agent, what is read from it, and what outlives the process. Absent parts come from `CONSUL_*` variables. */
export type ConsulConfig = NonNullable<SidecarConfig['consul']>;
/** How this instance is registered. */
export type RegistrationConfig = NonNullable<ConsulConfig['registration']>;

/** A mesh file. */
export type MeshConfig = ReturnType<typeof meshConfig>;
/** One service: `replicas` model processes of the same kind, each behind a sidecar of its own. */
export type MeshServiceConfig = MeshConfig['services'][number];
