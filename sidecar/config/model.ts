/**
 * The configuration as the rest of the sidecar sees it: parsed, complete and frozen.
 *
 * Every duration is in milliseconds, every size in bytes, every ratio 0–1, and every default has been filled
 * in. How the files spell these things, and every check on them, is the business of the other files here.
 */

import type { ConsulConfig, DiscoveryConfig } from './consul-model.js';
import type {
  ActiveHealthConfig,
  BalanceConfig,
  BreakerConfig,
  BudgetConfig,
  EjectionConfig,
  LocalityConfig,
  PoolConfig,
  SlowStartConfig,
} from './pool-model.js';
import type { RouteConfig } from './route-model.js';

export type { ConsulConfig, DiscoveryConfig, DiscoveryTarget, RegistrationConfig } from './consul-model.js';
export type {
  ActiveHealthConfig,
  BalanceConfig,
  BreakerConfig,
  BudgetConfig,
  DetectorMode,
  DetectorsConfig,
  EjectionConfig,
  LocalityConfig,
  PoolConfig,
  SlowStartConfig,
} from './pool-model.js';
export type {
  FallbackConfig,
  HedgeConfig,
  MirrorConfig,
  RetryConfig,
  RouteConfig,
  SplitConfig,
} from './route-model.js';

/** Where to listen or to connect. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface SidecarConfig {
  /** Mesh service this sidecar speaks for; the last segment of its SPIFFE id. */
  readonly service: string;
  /** Name of this instance, unique within the service; used in logs and reports only. */
  readonly instance: string;
  /** With an identity from Consul these two mean nothing: its certificates say them. */
  readonly trustDomain: string;
  readonly datacenter: string;
  readonly identity: IdentityConfig;
  /** Present: peers, identity and intentions come from a Consul agent as far as the rest of the file does not say them. */
  readonly consul?: ConsulConfig;
  readonly admin?: Address;
  readonly inbound?: InboundConfig;
  readonly outbound?: OutboundConfig;
  readonly model?: ModelProcessConfig;
  readonly limits: LimitsConfig;
  /** Longest time calls in flight may take to finish once a drain has begun. Default 30 s. */
  readonly drainTimeoutMs: number;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
  /** One line for each call, or for a share of them. Absent: none. */
  readonly accessLog?: AccessLogConfig;
  /** The admin port may switch on delays and aborts for drills. Default false. */
  readonly faultInjection?: boolean;
}

export interface AccessLogConfig {
  /** Absent: standard error, with the other lines. */
  readonly path?: string;
  /** Share of the successful calls; every other call is logged. Default 1. */
  readonly sampleRatio: number;
}

/**
 * `files`: PEM files, watched, reloaded when they change. `consul`: leaf and roots of Connect's CA; the trust domain is
 * that of the cluster. `none`: no mesh identity; mesh legs must be plaintext.
 */
export type IdentityConfig =
  | { readonly kind: 'files'; readonly cert: string; readonly key: string; readonly roots: string }
  | { readonly kind: 'consul' }
  | { readonly kind: 'none' };

export interface InboundConfig {
  readonly listen: Address;
  /** `strict` (default): mutual TLS or nothing. `permissive`: plaintext callers are let in too, without identity. `off`: plaintext only. */
  readonly mtls: 'strict' | 'permissive' | 'off';
  /** Where the local model service listens (plaintext h2c). */
  readonly local: Address;
  /** With `consul.intentions` this is empty, and Consul says who may call. */
  readonly intentions: readonly IntentionConfig[];
  /** What happens to a caller no intention names. Default `deny`. */
  readonly defaultIntention: 'allow' | 'deny';
  /** Absent: whether the model answers is known from calls and from its health service only. */
  readonly golden?: GoldenConfig;
  readonly queue: QueueConfig;
  /** First match wins; a call over its limit is refused with RESOURCE_EXHAUSTED and pushback. Absent: none. */
  readonly rateLimits?: readonly RateLimitConfig[];
  readonly routes: readonly RouteConfig[];
}

/** A token bucket for each caller identity that matches. */
export interface RateLimitConfig {
  /** Names of services; `*` is everyone, each with a bucket of their own. */
  readonly callers: readonly string[];
  /** As in a route. */
  readonly methods: readonly string[];
  /** Above 0. */
  readonly perSecond: number;
  /** At least 1. Default `perSecond`, rounded up. */
  readonly burst: number;
}

/** Consul's form: `*` is a wildcard on either side; precedence by specificity, deny wins a tie. */
export interface IntentionConfig {
  readonly from: string;
  readonly to: string;
  readonly action: 'allow' | 'deny';
}

/** While no inference went through for `intervalMs`, the golden input of each model is sent and its answer compared. */
export interface GoldenConfig {
  /** DIR/<model>/<version>/model.yaml, each with a block `golden`. */
  readonly models: string;
  /** Default 10 s. */
  readonly intervalMs: number;
}

export interface QueueConfig {
  /** Calls the local model may hold at once. Default 2. */
  readonly concurrency: number;
  /** Calls that may wait; one more is refused with RESOURCE_EXHAUSTED. Default 128. */
  readonly maxWaiting: number;
  /** Request bytes that may wait. Default 64 MiB. */
  readonly maxWaitingBytes: number;
  /** Present: concurrency is found from latency, between these; `concurrency` is where it begins. Default 1 and 1 000. */
  readonly adaptive?: { readonly min: number; readonly max: number };
  /**
   * Metadata key that names a call's class, and the 2 to 16 classes from the most to the least important; calls without
   * one of them belong to `otherwise`, by default the last one.
   */
  readonly priority?: {
    readonly key: string;
    readonly classes: readonly string[];
    readonly defaultClass: string;
  };
  /** Callers take turns within a class, however many calls each has waiting. Absent: first come, first served. */
  readonly fair?: boolean;
}

export interface OutboundConfig {
  readonly upstreams: readonly UpstreamConfig[];
  /** One listener for all upstreams, which routes by `:authority` or by a metadata key. */
  readonly shared?: {
    readonly listen: Address;
    readonly by: 'authority' | 'metadata';
    readonly metadataKey: string;
  };
}

export interface UpstreamConfig {
  /** Name the application uses; also the mesh service whose SPIFFE id every endpoint must present. */
  readonly name: string;
  readonly listen?: Address;
  /** `mesh`: mutual TLS, peer verified to be `name`. `plaintext`: for services outside the mesh. Default `mesh`. */
  readonly tls: 'mesh' | 'plaintext';
  /** Empty where `discovery` finds them. */
  readonly endpoints: readonly EndpointConfig[];
  /** Absent: `endpoints` are all there are. */
  readonly consul?: DiscoveryConfig;
  readonly balance: BalanceConfig;
  /** Absent: an endpoint is taken for well while it is connected and not ejected. */
  readonly health?: ActiveHealthConfig;
  /** Absent: no bounds but those of the connections. */
  readonly breaker?: BreakerConfig;
  /** A new endpoint gets a growing share. Absent: it gets its share at once. */
  readonly slowStart?: SlowStartConfig;
  /** Endpoints of this locality go first while enough of them are eligible. Absent: all are alike. */
  readonly locality?: LocalityConfig;
  readonly ejection: EjectionConfig;
  readonly pool: PoolConfig;
  readonly budget: BudgetConfig;
  /** First match wins; the last one always matches every method. */
  readonly routes: readonly RouteConfig[];
}

export interface EndpointConfig {
  readonly address: Address;
  /** The mesh service its SPIFFE id must name, and its datacenter. Absent: the upstream's name; any datacenter. */
  readonly service?: string;
  readonly datacenter?: string;
  /** Where it is, for `locality` of the upstream. Absent: elsewhere. */
  readonly locality?: string;
  /** First part of the SNI in Consul's form, where a subset is named. */
  readonly subset?: string;
  /** Lower goes first; higher ones get traffic only while none before them is eligible. Absent: 0. */
  readonly priority?: number;
  /** Why the registry counsels against it, in one sentence. Absent: it does not. */
  readonly critical?: string;
  /** Relative share of traffic, ≥ 0. Default 1. */
  readonly weight: number;
  /** Name in reports; default: the address. */
  readonly id: string;
}

export interface ModelProcessConfig {
  /**
   * How the models of `inbound.golden` are served: each by a process of its own, which is told which by `{model}` in its
   * command and listens at a socket beside `inbound.local`; or all by one. Absent: one process that is not asked which.
   */
  readonly isolation?: 'process' | 'shared';
  /** argv of the model service the sidecar starts, watches and restarts. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Of the sidecar's own environment, beside what every model gets: names, or `NAME*` for all that begin so. */
  readonly inherit: readonly string[];
  /** Longest time from start to READY before it is killed and started again. Default 60 s. */
  readonly startTimeoutMs: number;
  /** Longest time one run of the model may take, whatever deadlines callers give. Default 5 min. */
  readonly longestRunMs: number;
  readonly restart: {
    readonly baseMs: number; // 100
    readonly maxMs: number; // 30 000
    /** Given up after so many starts within so long; then one start each `retryAfterMs`. 0 starts: never. */
    readonly limit: { readonly starts: number; readonly withinMs: number }; // 5 in 60 000
    readonly retryAfterMs: number; // 300 000
  };
  /** Longest time a SIGTERM may take before SIGKILL. Default 10 s. */
  readonly stopTimeoutMs: number;
}

export interface FrameRates {
  readonly pings: number; // 100
  readonly resets: number; // 2 000
  readonly settings: number; // 20
  readonly windowUpdates: number; // 50 000
  readonly empty: number; // 10
  readonly ignored: number; // 2 000
  readonly violations: number; // 10
}

/** Bounds against hostile or broken peers; each has a counter of the same name. See http2/limits.ts. */
export interface LimitsConfig {
  readonly maxConnections: number; // per listener, 1 024
  readonly maxConcurrentStreams: number; // per connection, 256
  readonly maxHeaderBytes: number; // 16 384
  readonly maxHeaderFields: number; // 100
  readonly handshakeTimeoutMs: number; // 5 000: TCP accept to the end of the preface, TLS included
  readonly handshakesPerSecond: number; // 100
  /** Frames of one connection, each kind by itself. See BUCKETS in http2/limits.ts. */
  readonly framesPerSecond: FrameRates;
  /** Bytes of payload the whole process may hold. Default 256 MiB. */
  readonly memoryBudgetBytes: number;
  /** Extra request bytes one call may keep for another attempt. Default 1 MiB. */
  readonly replayBytesPerCall: number;
}
