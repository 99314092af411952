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
  readonly routes: readonly RouteConfig[];
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
  readonly ejection: EjectionConfig;
  readonly pool: PoolConfig;
  readonly budget: BudgetConfig;
  /** First match wins; the last one always matches every method. */
  readonly routes: readonly RouteConfig[];
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

export interface EjectionConfig {
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
  readonly retry?: RetryConfig;
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
