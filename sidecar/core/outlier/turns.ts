import { PER_MS } from '../stats/histogram.js';

const DOUBLINGS = 27;
/** A turn that ended longer ago than this, and than two calls like it take, is forgotten, ms. */
const MEMORY_MS = 10_000;

/**
 * Counts calls that cannot have waited for the same thing. Calls that are held up together, by a long run before them or by a
 * process that stood still, end together, and say once what has happened however many they are. So for each doubling of the
 * latency a call counts only when it began after the end of the last one that counted: calls that take longer than a second
 * count at most once a second.
 */
export class Turns {
  private readonly endsMs = new Float64Array(DOUBLINGS).fill(Number.NEGATIVE_INFINITY);
  private readonly counts = new Uint8Array(DOUBLINGS);
  /** As `counts`, of the present span and of the one before it alone. */
  private present = new Uint8Array(DOUBLINGS);
  private previous = new Uint8Array(DOUBLINGS);
  private span = Number.NEGATIVE_INFINITY;

  /** @param spanMs length of a span; calls that ended in the present or the previous one are recent. */
  constructor(private readonly spanMs: number) {}

  /** A call that took `elapsedMs` has ended. */
  record(elapsedMs: number, nowMs: number): void {
    const i = doublingOf(elapsedMs);
    const sinceMs = nowMs - this.endsMs[i]!;
    if (sinceMs < elapsedMs) return;
    const count = sinceMs > lifeMs(elapsedMs) ? 0 : this.counts[i]!;
    this.counts[i] = Math.min(count + 1, 255);
    this.endsMs[i] = nowMs;
    this.moveTo(nowMs);
    this.present[i] = Math.min(this.present[i]! + 1, 255);
  }

  /** Most turns of calls of one doubling, among those that hold calls of `fromMs` and longer. At most 255. */
  from(fromMs: number, nowMs: number): number {
    let most = 0;
    for (let i = doublingOf(fromMs); i < DOUBLINGS; i += 1)
      if (nowMs - this.endsMs[i]! <= lifeMs(2 ** i / PER_MS)) most = Math.max(most, this.counts[i]!);
    return most;
  }

  /** As `from`, of the calls that ended in the present span and the one before it, at most 255 of each. */
  recentFrom(fromMs: number, nowMs: number): number {
    this.moveTo(nowMs);
    let most = 0;
    for (let i = doublingOf(fromMs); i < DOUBLINGS; i += 1)
      most = Math.max(most, this.present[i]! + this.previous[i]!);
    return most;
  }

  /** Drops what is too old at `nowMs`. */
  private moveTo(nowMs: number): void {
    const span = Math.floor(nowMs / this.spanMs);
    if (span <= this.span) return;
    const spare = this.previous.fill(0);
    this.previous = span === this.span + 1 ? this.present : spare;
    this.present = span === this.span + 1 ? spare : this.present.fill(0);
    this.span = span;
  }
}

function doublingOf(elapsedMs: number): number {
  const units = Math.min(elapsedMs * PER_MS, 0x7fff_ffff) | 0;
  return units < 1 ? 0 : Math.min(31 - Math.clz32(units), DOUBLINGS - 1);
}

function lifeMs(elapsedMs: number): number {
  return MEMORY_MS + 2 * elapsedMs;
}
