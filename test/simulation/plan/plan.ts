/**
 * What happens in one simulated run, as plain data: the configuration of each sidecar, the calls, the faults. It is drawn
 * from a seed or read from the corpus; running it twice gives the same trace.
 */

/** As bytes travel between two processes. */
export interface LinkPlan {
  readonly delayMs: number;
  readonly kernelBytes: number;
  readonly takeBytes: number;
  readonly readBytes: number;
  readonly isRagged: boolean;
}

/** How a peer speaks HTTP/2; all of it is legal. */
export interface QuirksPlan {
  readonly initialWindow: number;
  readonly connectionCredit: number;
  readonly maxConcurrentStreams: number | null;
  readonly frameBytes: number;
  readonly padding: number;
  readonly headerPart: number;
  readonly settingsEvery: number;
  readonly emptyFrames: number;
  readonly raisesBySettings?: boolean;
  readonly indexing?: number;
  readonly tableBytes?: readonly number[];
  readonly creditsLate?: boolean;
}

/** A `grpc-encoding` of the simulation: lengths stay, bytes do not. */
export const ENCODING = 'sim-xor';

/** `unknown`: it is older than the question; `refused`: it cannot say it now. */
export type Telling = 'known' | 'unknown' | 'refused' | 'garbage';

/** A model process behind a sidecar. */
export interface ReplicaPlan {
  readonly name: string;
  readonly service: string;
  /** Calls that it runs at once; others wait in it. */
  readonly parallel: number;
  /** Its runs take as many times as long as the call says. */
  readonly slowness: number;
  readonly quirks: QuirksPlan;
  /** Tokens of a message of a token stream, at most: other replicas put the same tokens into other messages. */
  readonly tokensPerMessage: number;
  /** `grpc-encoding` of its responses; absent: identity. */
  readonly encoding?: string;
  /** It goes on behind the messages of a token stream that the caller has (`outrider-resume-after`). */
  readonly resumes?: boolean;
  /** Of token streams that it is to go on with: it has nothing to say, and ends so many of them at once, and well. */
  readonly emptyShare?: number;
  /** What an engine answers to the question how many calls it runs, and what it has to do; absent: it is known. */
  readonly slots?: Telling;
  readonly loads?: Telling;
  /** How it tells its load in the trailers of answers; absent: it does not. */
  readonly report?: 'binary' | 'text' | 'garbage';
  /** Content of its sidecar's file. */
  readonly file: object;
}

/** An application and its sidecar. */
export interface CallerPlan {
  readonly name: string;
  /** Name of its service. */
  readonly service: string;
  readonly quirks: QuirksPlan;
  /** Connections of the application to each listener. */
  readonly connections: number;
  readonly file: object;
}

/** The last calls begin so long after everything else that is planned, ms, or when all others are over. */
export const LAST_CALLS_MS = 25_000;

/** Between the two pieces of a message, ms. */
export const PIECE_MS = 8;

/** How fast a side reads: at once; at a rate; or not at all for a while after the first bytes. */
export type ReaderPlan =
  | { readonly kind: 'eager' }
  | { readonly kind: 'slow'; readonly bytesPerMs: number }
  | { readonly kind: 'stops'; readonly afterBytes: number; readonly forMs: number };

/** Tokens of the prompt of an engine's call that says nothing else. */
export const PROMPT = 5;
/** A method of a language-model engine, whose answers go on at another one by their tokens. */
export const GENERATE = '/vllm.grpc.engine.VllmEngine/Generate';

export interface CallPlan {
  readonly id: number;
  readonly atMs: number;
  /** Index of the caller. */
  readonly caller: number;
  readonly upstream: string;
  readonly path: string;
  /** The model that its messages name; absent: they name none. `version` is empty where it leaves the choice to the sidecar. */
  readonly model?: { readonly name: string; readonly version: string };
  /** The model's, for routes that read it; empty: none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Sizes of the messages. */
  readonly request: readonly number[];
  readonly response: readonly number[];
  /** A token stream: the response is so many tokens, in messages as the replica likes. */
  readonly tokens?: number;
  /** Of an engine's call; absent: `PROMPT`. */
  readonly promptTokens?: number;
  /** Of an engine: its tokens are drawn by chance. */
  readonly isDrawn?: boolean;
  /** Of each token of a stream; absent: 12. */
  readonly tokenBytes?: number;
  /** Some of its messages are sent in two pieces, with a pause between them. */
  readonly isInPieces?: boolean;
  readonly requestGapMs: number;
  readonly responseGapMs: number;
  /** Work of the model before its first message. */
  readonly serviceMs: number;
  /** Final status of the model. */
  readonly status: number;
  /** Bytes of `grpc-message`; 0: none. */
  readonly messageBytes: number;
  /** 0: none. */
  readonly timeoutMs: number;
  /** After its begin; 0: never. */
  readonly cancelAfterMs: number;
  readonly reader: ReaderPlan;
  readonly modelReader: ReaderPlan;
  /** It is made when all faults are long over: it has to end well, and soon. */
  readonly isLast?: boolean;
  /** Whether doing it twice does no harm. */
  readonly isIdempotent: boolean;
}

/** Consul in the world. */
export interface ConsulPlan {
  /** Of the machines that have an agent, by name. */
  readonly machines: Readonly<Record<string, string>>;
  /** For callers that no intention names. */
  readonly defaultPolicy: 'allow' | 'deny';
  readonly intentions: readonly {
    readonly source: string;
    readonly destination: string;
    readonly action: 'allow' | 'deny';
    /** It allows by a permission for each path, call by call. */
    readonly isByPath?: boolean;
  }[];
  /** What an operator has registered, where sidecars do not do it themselves: the service, and its proxy. */
  readonly entries: readonly { readonly machine: string; readonly definitions: readonly object[] }[];
  /** Id of the model's service on each machine. */
  readonly services: Readonly<Record<string, string>>;
  /** Service of each caller, and the one whose intentions faults are about. */
  readonly callers: Readonly<Record<string, string>>;
  readonly destination: string;
  /** Agents keep nothing over their end. */
  readonly agentsForget: boolean;
}

/** What happens to Consul, and what Consul says. Calls go on through all of it. */
export const CONSUL_FAULTS = [
  'consul-away',
  'consul-hangs',
  'consul-cut-off',
  'consul-lags',
  'consul-breaks',
  'consul-no-leader',
  'consul-no-rights',
  'consul-loses-state',
  'flapping-check',
  'deregister',
  'maintenance',
  'deny-intention',
  'consul-slow',
] as const;
export type ConsulFault = (typeof CONSUL_FAULTS)[number];

export function isConsulFault(kind: FaultKind): kind is ConsulFault {
  return (CONSUL_FAULTS as readonly string[]).includes(kind);
}

/** What breaks, or is changed by an operator, at any time and more than once. */
export const HARMS = [
  'kill-model',
  'freeze-model',
  'kill-sidecar',
  'freeze-sidecar',
  'freeze-caller',
  'slow-model',
  'failing-model',
  'break-connection',
  'stall-connection',
  'partition',
  'reload',
] as const;

/** What operators and time do. */
export const OPERATIONS = ['drain', 'takeover', 'clock-jump', 'identity-expires'] as const;

/** Of the disk of one machine. */
export const DISK_FAULTS = ['disk-full', 'disk-slow', 'disk-ragged'] as const;

/** What name servers answer. `dns-empty`: that there is no such name, or no address. */
export const DNS_FAULTS = ['dns-fails', 'dns-empty', 'dns-loses'] as const;

/** The name of DNS that has the first replica of a service only. */
export function fewNameOf(service: string): string {
  return `${service}-few.sim`;
}

/** Of the collector of metrics and traces. It may answer well, and with what is no answer. */
export const COLLECTOR_FAULTS = [
  ...(['collector-away', 'collector-hangs', 'collector-slow'] as const),
  ...(['collector-refuses', 'collector-partial', 'collector-lies'] as const),
] as const;
export type CollectorFault = (typeof COLLECTOR_FAULTS)[number];

export function isCollectorFault(kind: FaultKind): kind is CollectorFault {
  return (COLLECTOR_FAULTS as readonly string[]).includes(kind);
}

/** Where it listens. */
export const COLLECTOR = { host: '10.9.0.9', grpc: 4_317, http: 4_318 } as const;

/** A root certificate takes the place of another: both are believed for a while. */
export const ROOT_FAULTS = ['roots-change'] as const;

export const FAULT_KINDS = [
  ...HARMS,
  ...OPERATIONS,
  ...CONSUL_FAULTS,
  ...DISK_FAULTS,
  ...DNS_FAULTS,
  ...ROOT_FAULTS,
  ...COLLECTOR_FAULTS,
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Streams that a fault may meet: all; token streams; or those of them that are read slowly. */
export const MET_STREAMS = ['any', 'tokens', 'slow'] as const;

/** A call that two replicas have at once: its share says which of them the fault strikes. */
export const TWICE = 'twice';

/**
 * A fault in the middle of an answer: from its time on it waits until a replica has sent so much of a stream, and begins there; where none comes in a
 * while, at its own target.
 */
export interface Met {
  /** Faults with the same number meet the same call. */
  readonly stream: number;
  readonly of: (typeof MET_STREAMS)[number] | typeof TWICE;
  /** Replicas that have had the call before this one. */
  readonly replicasBefore: number;
  /** Of the messages or tokens, 0 to 1. */
  readonly share: number;
  /** So long after these have been sent, ms. */
  readonly afterMs: number;
}

export interface FaultPlan {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** Until when; what was killed starts again then. */
  readonly untilMs: number;
  /** A replica, or a caller, by name. */
  readonly target: string;
  /** Id of a call: the fault is at the replica that works for it when it begins; at `target` where none does. */
  readonly ofCall?: number;
  /** Where it meets an answer under way; absent: it begins at its time. */
  readonly met?: Met;
  /** Status of a failing model, factor of a slow one, bytes until a connection breaks. */
  readonly amount: number;
  /** Of a failing model: the share of its calls that fail; absent: all. */
  readonly share?: number;
  /** Of a failing model: its `grpc-retry-pushback-ms`. */
  readonly pushback?: string;
  /** Of slow answers of Consul: those that tell a change are not slow, and others overtake each other. */
  readonly isQuickToTell?: boolean;
  /** Of DNS: the code of Node, or `silent`. */
  readonly failure?: string;
  /** Of a reload: content of the next file. */
  readonly file?: object;
}

/** How a version is that comes during the run. Each but `good` has to be gone again at the end. */
export const CANDIDATES = ['good', 'erring', 'slow', 'wrong', 'unproven', 'dying'] as const;

/** Version 2 of the model comes into the directories of the replicas. */
export interface RolloutPlan {
  readonly atMs: number;
  /** Of the replicas, the last gets it this much later. */
  readonly spreadMs: number;
  readonly candidate: (typeof CANDIDATES)[number];
  /** Of its calls that err, or that end its process. */
  readonly share: number;
  /** Status of those. */
  readonly status: number;
  /** Copies do not err: only calls show it. */
  readonly sparesCopies: boolean;
  /** Of a slow one: as many times as long. */
  readonly factor: number;
}

export interface Plan {
  /** Of chance below the plan: sizes of reads, decisions of the sidecars. */
  readonly seed: number;
  /** What was switched on, for coverage. */
  readonly features: readonly string[];
  /** Calls and faults end by then. */
  readonly forMs: number;
  readonly links: { readonly local: LinkPlan; readonly mesh: LinkPlan };
  readonly replicas: readonly ReplicaPlan[];
  readonly callers: readonly CallerPlan[];
  readonly calls: readonly CallPlan[];
  readonly faults: readonly FaultPlan[];
  readonly consul?: ConsulPlan;
  readonly rollout?: RolloutPlan;
  /** Lifetime of certificates, ms; new ones come at two thirds of it. Absent: they do not expire. */
  readonly certificateMs?: number;
  /** More calls than the replicas can carry: refusals and late calls are right. */
  readonly isOverloaded: boolean;
}
