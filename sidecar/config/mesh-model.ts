/**
 * A mesh file as `outrider up` sees it: parsed, complete and frozen.
 *
 * It says what should run on this machine and who may call whom. It holds no ports of replicas, no certificates
 * and no process ids: those come to be when the mesh starts. Units are those of model.ts: milliseconds, bytes.
 */

import type {
  AccessLogConfig,
  Address,
  ConsulConfig,
  IntentionConfig,
  LimitsConfig,
  ModelProcessConfig,
  OutboundConfig,
  QueueConfig,
  RateLimitConfig,
  RouteConfig,
  UpstreamConfig,
} from './model.js';

export interface MeshConfig {
  readonly trustDomain: string;
  readonly datacenter: string;
  /** In the order of the file; at least one; names are unique and differ from the caller's. */
  readonly services: readonly MeshServiceConfig[];
  readonly caller: CallerConfig;
  /**
   * Present: for every sidecar, which registers with what its service says, beneath a cache directory of its own.
   * `trustDomain`, `datacenter` and `leafLifetimeMs` then mean nothing.
   */
  readonly consul?: ConsulConfig;
  /** For every service of the mesh; each inbound sidecar gets them all and applies those about itself. */
  readonly intentions: readonly IntentionConfig[];
  readonly defaultIntention: 'allow' | 'deny';
  /** The file says nothing of them: they let the caller call its upstreams. Absent: false. */
  readonly areIntentionsImplied?: boolean;
  /** How long a minted certificate is valid; rotation comes well before. Default 1 h. */
  readonly leafLifetimeMs: number;
  /** For every sidecar of the mesh. */
  readonly limits: LimitsConfig;
  readonly drainTimeoutMs: number;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
  /** For every sidecar; a file is shared by all of them. */
  readonly accessLog?: AccessLogConfig;
  /** For every sidecar. Absent: false. */
  readonly faultInjection?: boolean;
  /** Where sockets, certificates and sidecar files go. Absent: a fresh private directory, removed at the end. */
  readonly runDir?: string;
}

/** One service: `replicas` model processes of the same kind, each behind a sidecar of its own. */
export interface MeshServiceConfig {
  readonly name: string;
  readonly server: ModelServerConfig;
  readonly replicas: number;
  readonly queue: QueueConfig;
  readonly rateLimits?: readonly RateLimitConfig[];
  /** Inbound routes; the last one matches every method. */
  readonly routes: readonly RouteConfig[];
  /** Life of the model process; its argv comes from `server`. */
  readonly process: Omit<ModelProcessConfig, 'command'>;
  /**
   * Replica `i` (from 0) listens for its peers on 127.0.0.1 at `portBase + 2i` and serves its admin pages on the
   * port after it. Absent: free ports.
   */
  readonly portBase?: number;
  /** To register each replica with. Absent: none. */
  readonly tags?: readonly string[];
  readonly meta?: Readonly<Record<string, string>>;
}

export type ModelServerConfig =
  /** Our own server: `outrider serve --models dir`, for each model or for all, reached over Unix sockets in the run directory. */
  | { readonly kind: 'models'; readonly dir: string; readonly isolation: 'process' | 'shared' }
  /** Any gRPC server, reached over loopback TCP. Its argv and the values of its env may hold places to fill: see places.ts. */
  | { readonly kind: 'command'; readonly command: readonly string[] };

/** The application's side: one sidecar with outbound listeners only. */
export interface CallerConfig {
  /** The mesh service name the application calls as. */
  readonly name: string;
  /** The file says nothing of it: where it listens is for `up` to choose. Absent: false. */
  readonly isImplied?: boolean;
  /** Each names a service of the same file, or one that Consul has; `up` adds the endpoints of those without `discovery`. */
  readonly upstreams: readonly Omit<UpstreamConfig, 'endpoints'>[];
  readonly shared?: NonNullable<OutboundConfig['shared']>;
  readonly admin?: Address;
}
