/** How the endpoints of one upstream are kept, watched and chosen from. Units as in model.ts. */

/** One prober for each endpoint, however many routes lead to it. */
export interface ActiveHealthConfig {
  /** `grpc`: grpc.health.v1, answered by the peer's sidecar or the model. `ping`: HTTP/2 PING, proves the sidecar only. `tcp`: a connect. */
  readonly kind: 'grpc' | 'ping' | 'tcp';
  /** What `grpc` asks for: a model's name; empty: the server as a whole. */
  readonly service: string;
  readonly intervalMs: number; // 5 000, ± 10 %
  /** Absent: 1 s, and with `grpc` as long as the model's calls make likely. */
  readonly timeoutMs?: number;
  /** In a row. */
  readonly unhealthyThreshold: number; // 2
  readonly healthyThreshold: number; // 1
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

/** How an endpoint is found out. Each detector speaks for itself; the cap and the panic rule bind them together. */
export interface DetectorsConfig {
  /** Faults in a row; `consecutiveFaults` says how many. Default and absent: enforce. */
  readonly consecutive?: { readonly mode: DetectorMode };
  /** The peer's sidecar says that its model cannot serve. Default and absent: enforce. */
  readonly modelUnavailable?: { readonly mode: DetectorMode };
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
  /** Median latency against the median of the peers, at the same method, model and size of request. Default: enforce, 3 × with at least 20 calls. */
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
  /** Absent: faults in a row and what sidecars say of their models; reading a file fills in all seven. */
  readonly detectors?: DetectorsConfig;
  /** `observe` counts what would be ejected, and ejects nothing. Default `enforce`. */
  readonly mode: 'enforce' | 'observe';
  readonly consecutiveFaults: number; // 5
  readonly baseMs: number; // 30 000
  readonly maxMs: number; // 300 000
  readonly jitter: number; // 0.1
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
