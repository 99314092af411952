/**
 * Is the local model hung? Its health answers wait behind its work, so a late answer alone proves nothing: it
 * takes work under way that has brought no result for far longer than results usually take, and direct probes
 * unanswered too. Never judged across a stall of our own (Lifeguard; Cassandra's local-pause guard).
 */

/** What the relay has seen of the model's work; times are monotonic ms. */
export interface WorkEvidence {
  readonly inFlight: number;
  readonly completed: number;
  /** 0 = never. */
  readonly lastCompletionMs: number;
  /** Start of the oldest of those in flight; 0 = none. */
  readonly oldestStartMs: number;
  /** Upper range of recent run times; 0 = unknown. */
  readonly usualMs: number;
}

export const Liveness = {
  alive: 'alive',
  /** Nothing has come for too long: ask the model directly. */
  suspect: 'suspect',
  /** Does not answer probes although nothing is under way that could explain it. */
  unresponsive: 'unresponsive',
  /** Kill it. */
  hung: 'hung',
} as const;
export type Liveness = (typeof Liveness)[keyof typeof Liveness];

export interface LivenessSettings {
  /** Silence shorter than this is never suspicious. Default 1 s. */
  readonly minQuietMs?: number;
  /** Silence of this many usual run times is. Default 10. */
  readonly usualFactor?: number;
  /** Suspicious silence while no run time is known: the first run of a large model may be slow. Default 30 s. */
  readonly unknownQuietMs?: number;
  /** Direct probes in a row that must fail. Default 2. */
  readonly probes?: number;
  /** The same with nothing under way, before it counts as hung. Default 5. */
  readonly idleProbes?: number;
}

export class ModelLiveness {
  private readonly settings: Required<LivenessSettings>;
  private failedProbes = 0;
  private lastProofMs = Number.NEGATIVE_INFINITY;
  private completed = 0;

  constructor(settings: LivenessSettings = {}) {
    this.settings = {
      minQuietMs: 1_000,
      usualFactor: 10,
      unknownQuietMs: 30_000,
      probes: 2,
      idleProbes: 5,
      ...settings,
    };
  }

  /** Silence that makes work suspicious, ms. */
  quietLimitMs(usualMs: number): number {
    const { minQuietMs, usualFactor, unknownQuietMs } = this.settings;
    return usualMs > 0 ? Math.max(minQuietMs, usualFactor * usualMs) : unknownQuietMs;
  }

  /** The model answered a direct probe. */
  probePassed(nowMs: number): void {
    this.prove(nowMs);
  }

  /** A direct probe went unanswered. */
  probeFailed(): void {
    this.failedProbes += 1;
  }

  /** Our own event loop had stood still until `nowMs`: all silence before that is ours. */
  stalled(nowMs: number): void {
    this.prove(nowMs);
  }

  /** The process is another one now. */
  restarted(nowMs: number): void {
    this.completed = 0;
    this.prove(nowMs);
  }

  judge(evidence: WorkEvidence, nowMs: number): Liveness {
    if (evidence.completed !== this.completed) {
      this.completed = evidence.completed;
      this.prove(Math.max(this.lastProofMs, evidence.lastCompletionMs));
    }
    const { probes, idleProbes } = this.settings;
    if (evidence.inFlight === 0) {
      if (this.failedProbes >= idleProbes) return Liveness.hung;
      return this.failedProbes >= probes ? Liveness.unresponsive : Liveness.alive;
    }
    const quietSinceMs = Math.max(evidence.lastCompletionMs, evidence.oldestStartMs, this.lastProofMs);
    if (nowMs - quietSinceMs < this.quietLimitMs(evidence.usualMs)) return Liveness.alive;
    return this.failedProbes >= probes ? Liveness.hung : Liveness.suspect;
  }

  private prove(nowMs: number): void {
    this.lastProofMs = nowMs;
    this.failedProbes = 0;
  }
}
