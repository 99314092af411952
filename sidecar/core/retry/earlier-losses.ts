import { REMEMBERED_MS, type RequestFingerprint } from './poison-table.js';

/** Requests that are remembered. */
const MOST_REQUESTS = 1_024;
/** Engines that are remembered of one request: so many are enough to convict it. */
const MOST_LOSSES = 16;

/** An engine that was lost with a request inside. */
export interface EarlierLoss {
  /** Null: it is not known which one. */
  readonly engine: object | null;
  /** When the request had been sent there, and when the engine was lost, monotonic ms. */
  readonly sentMs: number;
  readonly lostMs: number;
  /** What that says against the request, as far as is known by now: the engine may prove to be well, or dead. It holds on to no call. */
  weight(): number;
}

interface Suspect {
  readonly bytes: number;
  readonly losses: EarlierLoss[];
  lastMs: number;
}

/**
 * Engines that were lost under requests, by the fingerprints of these: a client repeats a request whose answer cannot go on elsewhere, and each
 * of its calls meets one engine. A request that is answered once has ended none.
 */
export class EarlierLosses {
  /** In the order of the last loss. */
  private readonly suspects = new Map<string, Suspect>();

  isEmpty(nowMs: number): boolean {
    if (this.suspects.size > 0) this.forget(nowMs);
    return this.suspects.size === 0;
  }

  add({ fingerprint, bytes }: RequestFingerprint, loss: EarlierLoss): void {
    this.forget(loss.lostMs);
    const suspect = this.suspects.get(fingerprint) ?? { bytes, losses: [], lastMs: 0 };
    const { losses } = suspect;
    const known = losses.findIndex((each) => isSame(each, loss));
    if (known >= 0) {
      // Of copies that were in one engine, the one that was there longest says how likely that was by chance.
      if (loss.sentMs < losses[known]!.sentMs) losses[known] = loss;
      return;
    }
    losses.push(loss);
    if (losses.length > MOST_LOSSES) losses.shift();
    suspect.lastMs = loss.lostMs;
    this.suspects.delete(fingerprint);
    this.suspects.set(fingerprint, suspect);
    if (this.suspects.size > MOST_REQUESTS) this.suspects.delete(this.suspects.keys().next().value!);
  }

  /**
   * What engines say against it that were lost before its present call began: copies that ran beside each other may have met one cause that was
   * none of them.
   */
  weigh(fingerprint: string, beganMs: number, nowMs: number): number {
    this.forget(nowMs);
    let weight = 0;
    for (const each of this.suspects.get(fingerprint)?.losses ?? [])
      if (each.lostMs <= beganMs && nowMs - each.lostMs < REMEMBERED_MS) weight += each.weight();
    return weight;
  }

  /** Whether a request of so much content may be among them; cheaper than its fingerprint. */
  mayHave(bytes: number): boolean {
    for (const suspect of this.suspects.values()) if (suspect.bytes === bytes) return true;
    return false;
  }

  /** The request has been answered, or convicted. */
  drop(fingerprint: string): void {
    this.suspects.delete(fingerprint);
  }

  private forget(nowMs: number): void {
    for (const [fingerprint, { lastMs }] of this.suspects) {
      if (nowMs - lastMs < REMEMBERED_MS) return;
      this.suspects.delete(fingerprint);
    }
  }
}

function isSame(a: EarlierLoss, b: EarlierLoss): boolean {
  return a.engine === b.engine && b.sentMs <= a.lostMs;
}
