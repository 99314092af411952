import type { BlockTable } from './block-table.js';
import { PeakEwma } from './peak-ewma.js';
import type { ReportedLoad } from './reported-load.js';

/** Kinds of calls that take times of their own: a unary call its answer, a stream its first message. */
export const CallKind = { unary: 0, stream: 1 } as const;
export type CallKind = (typeof CallKind)[keyof typeof CallKind];

/** What a balancer reads of one endpoint. The cluster extends it and keeps `inFlight`, `weight` and `eligible` up to date. */
export class EndpointLoad {
  /** Of unary calls. */
  readonly latency = new PeakEwma();
  /** Of streams, by the time to their first message; null: there was none yet. */
  firstMessage: PeakEwma | null = null;
  /** Address in words; unique in the cluster and stable, so that hashes of it are. */
  label = '';
  /** Attempts under way. */
  inFlight = 0;
  /** Of these, streams that wait for their first message. */
  unanswered = 0;
  /** Attempts begun since a call there was answered with success, or a stream had its first message. */
  unansweredInRow = 0;
  /** What it says of its load; null: it never has. */
  reported: ReportedLoad | null = null;
  /** Configured weight, ≥ 0. Zero takes no traffic. */
  weight = 1;
  /**
   * Factor on `weight`, above 0, at most 1: below 1 during slow start, while the endpoint reports overload, and where
   * endpoints of a nearer locality take most of the traffic. Call `Balancer.reweighed` when it falls at once.
   */
  weightFactor = 1;
  /**
   * Share of its calls that it keeps, above 0, at most 1: below 1 while it is suspected of being about to fail. Read by balancers that
   * feel load, for which a lower weight would be no less traffic; the others get it in `weightFactor`.
   */
  trust = 1;
  /** May receive traffic: discovered, connected, healthy, not ejected. */
  eligible = true;
  /** What its engine probably has in its cache; null: no prompt was sent to the process that it is. Of prefix. */
  sentBlocks: BlockTable | null = null;
  /** @internal Running credit of smooth round-robin. */
  credit = 0;

  /** @internal Latency of its peers, ms, as the balancer last computed it; 0 = unknown. */
  peerMs = 0;
  /** @internal The same of first messages. */
  peerFirstMessageMs = 0;

  /** Effective weight: configured weight × factor. */
  get share(): number {
    return this.weight * this.weightFactor;
  }

  /** What this endpoint usually needs, ms: the mean of its own successes, else what its peers need; 0 = unknown. */
  get usualMs(): number {
    return this.latency.meanMs > 0 ? this.latency.meanMs : this.peerMs;
  }

  /** The same for calls of one kind; of streams, as long as no first message is known, what unary calls need. */
  usualMsOf(kind: CallKind): number {
    if (kind === CallKind.unary) return this.usualMs;
    if (this.firstMessage !== null && this.firstMessage.meanMs > 0) return this.firstMessage.meanMs;
    return this.peerFirstMessageMs > 0 ? this.peerFirstMessageMs : this.usualMs;
  }

  /** Its calls of this kind. */
  latencyOf(kind: CallKind): PeakEwma {
    if (kind === CallKind.unary) return this.latency;
    this.firstMessage ??= new PeakEwma();
    return this.firstMessage;
  }

  /** The endpoint is back after an absence (`PeakEwma.forgetPeak`). */
  forgetPeaks(): void {
    this.latency.forgetPeak();
    this.firstMessage?.forgetPeak();
  }
}

/**
 * A load-balancing policy: which endpoint gets an attempt. Stateless towards eligibility, which it reads from
 * `EndpointLoad.eligible`. A new policy is a file beside this one and a line in `BALANCERS` (balancers.ts).
 */
export interface Balancer {
  /**
   * An eligible endpoint, preferring one not in `tried`; undefined when none is eligible.
   * A `tried` one is returned only when every eligible one has been tried.
   * @param key hash of the value that the call is sticky by, 0 to 2³² − 1; absent or NO_KEY: not sticky. Read by ring-hash only.
   * @param kind whose latencies count; absent: those of unary calls. Read by least-loaded and prefix only.
   * @param prompt its blocks (prompt-blocks.ts); absent: the call has none that can be told. Read by prefix only.
   */
  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    nowMs: number,
    key?: number,
    kind?: CallKind,
    prompt?: Uint32Array,
  ): E | undefined;
  /**
   * The endpoint that calls with this key go to if these alone may take it, whatever their load; undefined: there is none. Absent: keys are not read.
   */
  ownerOf?<E extends EndpointLoad>(
    endpoints: readonly E[],
    key: number,
    mayTake: (endpoint: E) => boolean,
  ): E | undefined;
  /**
   * A call with this prompt goes to `endpoint`, whoever chose it. Absent: prompts are not read.
   * @param endpoints how many there are.
   */
  recordPrompt?(endpoint: EndpointLoad, prompt: Uint32Array, endpoints: number, nowMs: number): void;
  /** These are all endpoints from now on: what is kept at each stays within the memory for all. */
  limitMemory?(endpoints: readonly EndpointLoad[]): void;
  /** Effective weights have changed: drops what was derived from them. */
  reweighed?(): void;
  /** Overloaded endpoints get fewer calls because their calls cost more, so their weight need not be lowered. */
  readonly feelsLoad?: boolean;
}

/** Endpoints that a call was sent to before. */
export type Tried = readonly EndpointLoad[];

/** Key of a call that is not sticky. */
export const NO_KEY = -1;

/** `tried` of a first attempt. */
export const NONE_TRIED: Tried = [];

/** Whether an attempt may go to `endpoint`: eligible, with weight, and not tried before. */
export function canPick(endpoint: EndpointLoad, tried: Tried): boolean {
  if (!endpoint.eligible || !(endpoint.weight > 0)) return false;
  for (let i = 0; i < tried.length; i += 1) if (tried[i] === endpoint) return false;
  return true;
}

/** Whether an eligible endpoint is left that a call has not tried. */
export function hasUntried(endpoints: readonly EndpointLoad[], tried: readonly EndpointLoad[]): boolean {
  for (let i = 0; i < endpoints.length; i += 1) if (canPick(endpoints[i]!, tried)) return true;
  return false;
}
