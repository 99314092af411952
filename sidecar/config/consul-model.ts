/** What the configuration says about Consul: the agent, the registration, and what is asked for an upstream. Units as in model.ts. */

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
