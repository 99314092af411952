type EndpointState =
  | 'eligible'
  | 'standby'
  | 'ejected'
  | 'probing'
  | 'unhealthy'
  | 'disconnected'
  | 'connecting';

/** One endpoint in `/endpoints`. */
export interface EndpointReport {
  readonly upstream: string;
  /** Where traffic rules make several clusters of one upstream: which. */
  readonly cluster?: string;
  /** Lower goes first; absent: 0. From 1000 on the registry calls the endpoint critical. */
  readonly priority?: number;
  readonly endpoint: string;
  readonly address: string;
  /** `standby`: ready, and others are to be used first. `unhealthy`: connected, and its health check fails. */
  readonly state: EndpointState;
  /** One sentence: why the endpoint is in this state. Empty while eligible, unless the registry counsels against it. */
  readonly why: string;
  /** It is unhealthy because its sidecar says that the model is loading, or it says NOT_SERVING and has never passed a check: it may be starting. */
  readonly mayBeStarting?: true;
  /** Milliseconds since the state began, and until an ejection ends (absent when it is not ejected, and when it lasts until the model serves). */
  readonly sinceMs: number;
  readonly untilMs?: number;
  readonly connections: number;
  readonly inFlight: number;
  /** What balancing goes by: follows the slowest of the last calls, and counts a failure as slow. 0: not known yet. */
  readonly ewmaMs: number;
  /** Mean of the attempts that succeeded, of which the last ten seconds count most; absent: there was none. What people call its latency. */
  readonly latencyMs?: number;
  readonly weight: number;
  readonly attempts: number;
  readonly faults: number;
  readonly consecutiveFaults: number;
  readonly ejections: number;
  /** Where it is, if that is known. */
  readonly locality?: string;
  /** The models that its registration or the file says it has; absent: they say nothing. */
  readonly models?: readonly string[];
  /** The versions of its models, as far as it says them; calls that name one go by that. */
  readonly versions?: Readonly<Record<string, readonly string[]>>;
  /** What it takes of its weight now, when that is not all: it warms up, is full, or is far away. */
  readonly share?: number;
  /** How much it is suspected of being about to fail, 0 to 1, and why; absent: not at all. `isSuspect`: so much that it counts. */
  readonly suspicion?: {
    readonly value: number;
    readonly isSuspect: boolean;
    readonly detector: string;
    readonly why: string;
  };
  /** Calls that it has over those it runs at once, as it reports it, with our own calls since; absent without a report of the last 3 s. */
  readonly reportedLoad?: number;
  /** Calls that succeeded or failed in the last 10 s, and the share of successes among them; absent where they are not counted, the share also where there were none. */
  readonly recentCalls?: number;
  readonly successRatio?: number;
  /**
   * Its median latency over that of its peers, at the same method, model and size of request: what the latency detector
   * holds against its `factor`. Absent where that is off, where it or all of its peers have fewer than `min_calls` such
   * calls in the last 5 s to 10 s, and while it is ejected or warms up.
   */
  readonly latencyRatio?: number;
}

/** Copies of calls that go from one upstream to another. */
export interface MirrorReport {
  readonly upstream: string;
  readonly to: string;
  readonly sent: number;
  readonly inFlight: number;
  /** Calls that were to be copied and were not. */
  readonly skipped: number;
  readonly compared: number;
  readonly mismatched: number;
  /** What differed last, in one sentence that says nothing of the payload, and how long ago; absent: nothing did. */
  readonly last?: string;
  readonly lastAgoMs?: number;
}

/** A feature that could not see some calls of an upstream for their size. */
export interface SizeLimitReport {
  readonly upstream: string;
  /** `repeat` (retries and hedges), `fallback`, `last-good`, `inspection`, `mirror` or `comparison`. */
  readonly feature: string;
  /** How many, and which option bounds it, since the start. */
  readonly why: string;
}

/** A method of an upstream whose kind the file does not say, and what is known of it. */
export interface MethodReport {
  readonly upstream: string;
  /** `/package.Service/Method`. */
  readonly method: string;
  readonly kind: 'unary' | 'streaming';
  /** `description`: the service says so. `answers`: its answers have been like that; they decide nothing but how latencies are compared. */
  readonly from: 'description' | 'answers';
}

/** How many calls have ended, from peers and to upstreams. */
export interface CallCounts {
  readonly inbound: number;
  readonly outbound: number;
}

/** The queue before a local model in `/endpoints`. */
export interface QueueReport {
  readonly running: number;
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Calls let through at once: as configured, or as found; 0 while the model is not ready. */
  readonly concurrency: number;
  /** Best latency of late, ms, where concurrency is found by measuring; 0: not known yet. */
  readonly unloadedMs?: number;
  /** Those that wait, by class from the most to the least important. */
  readonly classes?: readonly { readonly name: string; readonly waiting: number }[];
  /** Calls whose deadline passed in the queue, and those that gave way to others, since the start. */
  readonly expired?: number;
  readonly evicted?: number;
  /** Calls over a caller's rate since the start; absent without rate limits. */
  readonly rateLimited?: number;
  /** Whether memory runs short; absent where it is not measured. */
  readonly pressure?: 'none' | 'high' | 'critical';
}

type ProcessState = 'starting' | 'ready' | 'unresponsive' | 'backoff' | 'given-up' | 'stopping' | 'stopped';

/** A model process in `/endpoints`. */
export interface ModelReport {
  /** Where the sidecar knows its models by name. */
  readonly name?: string;
  /** Where versions are told apart. */
  readonly version?: string;
  /** Number of the instance, from 1, where the model has several. */
  readonly instance?: number;
  /**
   * `given-up`: it died too often; a single start tries again now and then. `failed`: its process is there, and could not
   * load it.
   */
  readonly state: ProcessState | 'failed' | 'foreign';
  readonly why: string;
  readonly pid?: number;
  readonly restarts: number;
  /** It serves, and has not been up for long since the process before it died: callers go elsewhere while they can; `why` says how long. */
  readonly isOnProbation?: boolean;
}

/** Where a version of a model stands at this replica. */
export interface LifeReport {
  /** Absent for a server of another make. */
  readonly name?: string;
  /** Absent where versions are not told apart. */
  readonly version?: string;
  /** One of the states of core/models/life.ts. */
  readonly state: string;
  /** Why it is in it, in one sentence. */
  readonly why: string;
  /** Since when, ISO 8601. */
  readonly since: string;
}

/** How the registry is read, and what came of it. */
export interface RegistryReport {
  /** Where its agent is. */
  readonly where: string;
  /** Whether this instance stands in the catalogue as it should; absent when it is not to be registered. */
  readonly registered?: boolean;
  /** Why it does not. */
  readonly problem?: string;
  readonly queries: readonly RegistryQueryReport[];
  /** Rules of the registry that are not applied, each in one sentence. */
  readonly unsupported: readonly string[];
}

/** The DNS name of an upstream, and what came of it. */
export interface DnsReport {
  readonly upstream: string;
  /** `NAME:PORT`. */
  readonly name: string;
  /** The whole name that has the addresses, where the search list has completed it, or `/etc/hosts`. Absent: `name` is it. */
  readonly found?: string;
  /**
   * `waiting`: no answer yet. `failing`: the last query failed, what was known serves. `empty`: the name has no address. `held`:
   * addresses are kept although DNS took them away, because most went at once.
   */
  readonly state: 'waiting' | 'current' | 'failing' | 'empty' | 'held';
  /** In the last good answer. */
  readonly addresses: number;
  /** In use although the last answer does not have them. */
  readonly kept: number;
  /** Since the last good answer; absent before the first. */
  readonly ageMs?: number;
  readonly problem?: string;
  /** Rounds of queries since the start, and those of them that failed. */
  readonly rounds: number;
  readonly failures: number;
}

/** The Service of Kubernetes of an upstream, and what its API says of it. */
export interface KubernetesReport {
  readonly upstream: string;
  /** `NAME.NAMESPACE:PORT`, as the file has it. */
  readonly service: string;
  /**
   * `waiting`: no list yet. `failing`: the API cannot be followed, what was known serves. `empty`: no endpoint is ready. `held`:
   * endpoints are kept although the API took them away, because most went at once.
   */
  readonly state: 'waiting' | 'current' | 'failing' | 'empty' | 'held';
  /** Ready ones. */
  readonly endpoints: number;
  readonly unready: number;
  /** Their pods end. */
  readonly terminating: number;
  /** In use although the API does not list them. */
  readonly kept: number;
  /** Since the API last said something; absent before the first list. A quiet watch has a bookmark about each minute. */
  readonly ageMs?: number;
  readonly problem?: string;
  /** Since the start. */
  readonly lists: number;
  readonly watches: number;
  readonly failures: number;
}

/** A blocking query of the Consul agent in `/endpoints`. */
export interface RegistryQueryReport {
  readonly name: string;
  /** `waiting`: no response yet. `cached`: none yet, the snapshot of an earlier run serves. `failing`: the last good response serves. */
  readonly state: 'waiting' | 'current' | 'cached' | 'failing';
  /** Since the last good response; absent before the first. */
  readonly ageMs?: number;
  readonly problem?: string;
}

/** Exceptions that nobody expected, each of which ended a connection or a call. */
export interface DefectReport {
  readonly count: number;
  /** What the last one said; the log has its stack. */
  readonly message: string;
  readonly agoMs: number;
}

/** A request that was in model processes as they crashed. */
export interface PoisonReport {
  /** 16 hexadecimal digits; of this process only. */
  readonly fingerprint: string;
  readonly upstream: string;
  readonly crashes: number;
  readonly isRefused: boolean;
  /** Until it is forgotten. */
  readonly forMs: number;
}
