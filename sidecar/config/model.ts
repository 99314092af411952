/**
 * The configuration as the rest of the sidecar sees it: parsed, complete and frozen.
 *
 * Every duration is in milliseconds, every size in bytes, every ratio 0–1, and every default has been filled
 * in. How the files spell these things, and every check on them, is the business of the other files here.
 */

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

export interface ConsulConfig {
  /** `http://host:port`, `https://host:port` or `unix:///path`. Absent: `CONSUL_HTTP_ADDR`, else `http://127.0.0.1:8500`. */
  readonly address?: string;
  /** File that holds the ACL token; read again for each request after it changed. Absent: `CONSUL_HTTP_TOKEN_FILE`, `CONSUL_HTTP_TOKEN`, else none. */
  readonly tokenFile?: string;
  /** Each absent part: `CONSUL_CACERT`, `CONSUL_CAPATH`, `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY`, `CONSUL_TLS_SERVER_NAME`, `CONSUL_HTTP_SSL_VERIFY`. */
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly serverName?: string;
    readonly verify?: boolean;
  };
  /** Any server may answer reads, not only the leader. Default true. */
  readonly stale: boolean;
  /** Longest time a blocking query may take on the agent's side. Default 5 min. */
  readonly waitMs: number;
  /** How long a working set of endpoints outlives an answer that empties it. Default 60 s. */
  readonly graceMs: number;
  /** A larger answer is refused. Default 32 MiB. */
  readonly maxAnswerBytes: number;
  /** Who may call is read from Consul; else from the file. Default true. */
  readonly intentions: boolean;
  /** Config entries (router, splitter, resolver, defaults) are applied. Default true. */
  readonly rules: boolean;
  /** Absent: this instance is not registered. */
  readonly registration?: RegistrationConfig;
  /** Absent: nothing outlives the process. */
  readonly cache?: {
    /** A directory of its own for each instance; made with mode 0700. */
    readonly dir: string;
    /** The leaf and its private key are kept too. Default false. */
    readonly keys: boolean;
  };
}

export interface RegistrationConfig {
  /** Where peers reach this instance. Absent: the host `inbound.listen` names, or the agent's own address when that is a wildcard. */
  readonly address?: string;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** Shares of traffic relative to other instances; `passing` from 1, `warning` from 0, both to 65 535. Default 1 and 1. */
  readonly weights: { readonly passing: number; readonly warning: number };
  /** Consul removes an instance that was critical for this long; at least 1 min. Default 10 min. */
  readonly deregisterAfterMs: number;
  /** A drain waits this long between "critical" and GOAWAY, so that peers have heard of it. Default 2 s. */
  readonly propagationMs: number;
}

/** What Consul is asked for an upstream. */
export interface DiscoveryConfig {
  /** Name in the catalogue. */
  readonly service: string;
  /** Absent: the agent's own. */
  readonly datacenter?: string;
  /** An instance needs all of them. */
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** Used in this order, each while none before it has a healthy instance. */
  readonly failover: readonly DiscoveryTarget[];
}

export type DiscoveryTarget = Omit<DiscoveryConfig, 'failover'>;

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
  readonly source: string;
  readonly destination: string;
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
    readonly otherwise: string;
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
  readonly discovery?: DiscoveryConfig;
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

/** One prober for each endpoint, however many routes lead to it. */
export interface ActiveHealthConfig {
  /** `grpc`: grpc.health.v1, answered by the peer's sidecar or the model. `ping`: HTTP/2 PING, proves the sidecar only. `tcp`: a connect. */
  readonly kind: 'grpc' | 'ping' | 'tcp';
  /** What `grpc` asks for: a model's name; empty: the server as a whole. */
  readonly service: string;
  readonly intervalMs: number; // 5 000, ± 10 %
  readonly timeoutMs: number; // 1 000
  /** In a row. */
  readonly unhealthy: number; // 2
  readonly healthy: number; // 1
}

/** Bounds of one upstream; what is over them is refused at once with RESOURCE_EXHAUSTED. 0 = no bound. */
export interface BreakerConfig {
  readonly maxConnections: number; // 0
  /** Calls that wait for a connection or for discovery. */
  readonly maxPending: number; // 128
  readonly maxInFlight: number; // 1 024
  /** Attempts beyond the first of their call, under way at once. */
  readonly maxRetries: number; // 64
}

export interface SlowStartConfig {
  /** Share of a full one's traffic at the begin. */
  readonly minRatio: number; // 0.1
  /** It ends when latency is within this factor of the peers' … */
  readonly convergedFactor: number; // 1.5
  /** … after this many calls, */
  readonly minCalls: number; // 20
  /** or at the latest after this time. */
  readonly maxMs: number; // 60 000
}

export interface LocalityConfig {
  /** Where this sidecar is; endpoints whose `locality` equals it go first. */
  readonly own: string;
  /** Below this share of eligible ones among them, the others are used too. */
  readonly spillBelow: number; // 0.7
}

/** `ring-hash`: calls with the same value of a metadata key go to the same endpoint, loads permitting; calls without it, anywhere. */
export type BalanceConfig =
  | { readonly kind: 'least-loaded' }
  | { readonly kind: 'round-robin' }
  | { readonly kind: 'ring-hash'; readonly key: string };

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

/** How an endpoint is found out. Each detector speaks for itself; the cap and the panic rule bind them together. */
export interface DetectorsConfig {
  /** Share of successes over an exact ring of 10 s. Default: enforce, below 0.8 with at least 5 calls. */
  readonly successRatio?: { readonly mode: DetectorMode; readonly below: number; readonly minCalls: number };
  /** Success rate below mean − factor × standard deviation of the peers (Envoy, gRFC A50). Default: enforce, 1.9, 5 peers, 100 calls. */
  readonly successRate?: {
    readonly mode: DetectorMode;
    readonly factor: number;
    readonly minPeers: number;
    readonly minCalls: number;
  };
  /** Share of faults over the ring. Default: off; 0.85, 5 peers, 50 calls. */
  readonly failureRatio?: {
    readonly mode: DetectorMode;
    readonly above: number;
    readonly minPeers: number;
    readonly minCalls: number;
  };
  /** Median latency against the median of the peers, of requests of similar size. Default: enforce, 3 × with at least 20 calls. */
  readonly latency?: { readonly mode: DetectorMode; readonly factor: number; readonly minCalls: number };
  /** NaN, infinities, wrong shape or datatype in answers of ModelInfer. Default: off; half of at least 20 samples, 5 % sampled. */
  readonly invalidOutput?: {
    readonly mode: DetectorMode;
    readonly above: number;
    readonly minSamples: number;
    readonly sampleRatio: number;
  };
}

export type DetectorMode = 'enforce' | 'observe' | 'off';

export interface EjectionConfig {
  /** Beside the faults in a row. Absent: none; reading a file fills in all five. */
  readonly detectors?: DetectorsConfig;
  /** `observe` counts what would be ejected, and ejects nothing. Default `enforce`. */
  readonly mode: 'enforce' | 'observe';
  readonly consecutiveFaults: number; // 5
  readonly baseMs: number; // 30 000
  readonly maxMs: number; // 300 000
  readonly jitterRatio: number; // 0.1
}

export interface PoolConfig {
  /** Endpoints of one priority that connections are kept to; of more, a stable random subset (gRFC A68). Absent: 128. */
  readonly maxEndpoints?: number;
  /** Connections kept to each endpoint. Default 1. */
  readonly connections: number;
  /** TCP, TLS and the peer's first SETTINGS together. Default 1 s. */
  readonly connectTimeoutMs: number;
  /** PING after this long without a frame from the peer while calls are in flight. Default 10 s. */
  readonly pingIntervalMs: number;
  /** No answer to a PING for this long closes the connection. Default 5 s. */
  readonly pingTimeoutMs: number;
  /** A connection is replaced, make before break, at this age ± 10 %. Default 1 h; 0 = never. */
  readonly maxAgeMs: number;
}

/** Extra attempts allowed: `ratio` of the calls plus `perSecond`. Default 0.2 and 3. */
export interface BudgetConfig {
  readonly ratio: number;
  readonly perSecond: number;
}

export interface RouteConfig {
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly methods: readonly string[];
  /** Only unary methods get the default timeout and have their response held until its status is known. */
  readonly kind: 'unary' | 'streaming';
  readonly idempotent: boolean;
  /** Upper bound on a call; the caller's own deadline may be shorter. 0 = none. Default 15 s unary, 0 streaming. */
  readonly timeoutMs: number;
  /** A stream with no frame either way for this long is ended. 0 = none. Default 5 min streaming, 0 unary. */
  readonly idleTimeoutMs: number;
  /** Longest one attempt may take. 0 = none. */
  readonly attemptTimeoutMs: number;
  /** Longest deadline of its own that a caller is granted, streams included; at least `timeoutMs`. Absent or 0 = no bound. */
  readonly maxTimeoutMs?: number;
  readonly retry?: RetryConfig;
  readonly hedge?: HedgeConfig;
  /** In this order, when the call failed after its retries or no endpoint could take it. Unary only; each at most once. */
  readonly fallback?: readonly FallbackConfig[];
  /** Where the calls go that the application makes to this upstream. Absent: all to the upstream itself. */
  readonly split?: SplitConfig;
  /** Unary only. */
  readonly mirror?: MirrorConfig;
}

/** A second copy of an idempotent unary call; the first answer wins, the other is reset. */
export interface HedgeConfig {
  /** The copy goes after this percentile of recent latencies; above 0.5, at most 0.999. */
  readonly percentile: number; // 0.95
  /** Never sooner. */
  readonly minDelayMs: number; // 1
  /** Copies, as a share of the calls. */
  readonly maxRatio: number; // 0.05
}

/**
 * `upstream`: another upstream of this sidecar, such as a smaller model; none leads back to where it began. `last-good`:
 * the last answer to the same request bytes, of idempotent routes only. Default 5 min and 16 MiB.
 */
export type FallbackConfig =
  | { readonly kind: 'upstream'; readonly upstream: string }
  | { readonly kind: 'last-good'; readonly maxAgeMs: number; readonly maxBytes: number };

export interface SplitConfig {
  /** First match wins: calls whose metadata `key` has `value` all go there. The upstream itself may be named, here and below. */
  readonly match: readonly { readonly key: string; readonly value: string; readonly upstream: string }[];
  /** Weights ≥ 0, their sum > 0. */
  readonly weights: readonly { readonly upstream: string; readonly weight: number }[];
  /** Calls with the same value of this metadata key go to the same one. Absent: by chance. */
  readonly stickyBy?: string;
}

/** A copy of the request goes there too; its answer is compared and thrown away. */
export interface MirrorConfig {
  readonly upstream: string;
  readonly ratio: number; // 1
  /** Copies under way at once; more are left out and counted. */
  readonly maxInFlight: number; // 8
  /** Largest difference that is none: absolute, or relative beyond ±1. */
  readonly tolerance: number; // 1e-4
}

export interface RetryConfig {
  /** Attempts in all, the first included. Default 2. */
  readonly attempts: number;
  /** gRPC status codes that are worth another attempt. Default UNAVAILABLE (14). */
  readonly on: readonly number[];
  readonly backoffBaseMs: number; // 25
  readonly backoffMaxMs: number; // 250
}

export interface ModelProcessConfig {
  /** argv of the model service the sidecar starts, watches and restarts. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Longest time from start to READY before it is killed and started again. Default 60 s. */
  readonly startTimeoutMs: number;
  readonly restartBaseMs: number; // 100
  readonly restartMaxMs: number; // 30 000
  /** Longest time a SIGTERM may take before SIGKILL. Default 10 s. */
  readonly stopTimeoutMs: number;
}

/** Bounds against hostile or broken peers; each has a counter of the same name. See http2/limits.ts. */
export interface LimitsConfig {
  readonly maxConnections: number; // per listener, 1 024
  readonly maxConcurrentStreams: number; // per connection, 256
  readonly maxHeaderBytes: number; // 16 384
  readonly maxHeaderFields: number; // 100
  readonly handshakeTimeoutMs: number; // 5 000: TCP accept to the end of the preface, TLS included
  readonly handshakesPerSecond: number; // 100
  /** Bytes of payload the whole process may hold. Default 256 MiB. */
  readonly memoryBudgetBytes: number;
  /** Extra request bytes one call may keep for another attempt. Default 1 MiB. */
  readonly replayBytesPerCall: number;
}
