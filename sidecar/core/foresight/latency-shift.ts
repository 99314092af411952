import { MAX_CALL_CLASSES } from '../outlier/latency.js';
import { ShiftChart } from './shift-chart.js';
import { UsualLatency } from './usual-latency.js';

/** Calls of a block at least. A block is what came in a second, or in the time that it takes for so many. */
const BLOCK = 20;
/** A peer's shift counts for this long, ms. */
const RECENT_MS = 30_000;
/** After this long in suspicion, what was suspicious is the new usual, ms. */
const MAX_SUSPICION_MS = 15 * 60_000;
/** Levels below are noise. */
const FAINT = 0.1;
/** Lower bound of a tail, so that a few very quick blocks do not widen the chart. */
const LEAST_TAIL = -0.5;
/** Upper bound: one call that hangs says no more than one that takes seven times as long. */
const MOST_TAIL = 2;

/**
 * Whether an endpoint takes longer than it usually does, for calls of the same kind: a changed mix of calls is no shift, because each call
 * is compared with what is usual for its own kind (decision 0011), and the median of such comparisons is 0 whatever the mix.
 *
 * Two charts: the median of a block finds what became slower altogether, from 15 % on; the second slowest of each twenty calls finds
 * a part that is much slower: their 95th percentile, against the 99th that is usual. In blocks, because latencies that follow each other are alike.
 */
export class LatencyShift {
  private readonly usual: (UsualLatency | undefined)[] = new Array(MAX_CALL_CLASSES).fill(undefined);
  private readonly median = new ShiftChart({ leastSlack: Math.log(1.15), leastThreshold: 0.6 });
  private readonly tail = new ShiftChart({ leastSlack: Math.log(1.2), leastThreshold: 1 });
  /** Of the block that is being filled: logarithms of latency over the usual median, and over the usual 99th percentile. */
  private ratios: number[] = [];
  private tailRatios: number[] = [];
  private block: { readonly shift: number; readonly error: number; readonly tail: number } | undefined;
  private shift = 0;
  private tailShift = 0;
  private shiftMs = Number.NEGATIVE_INFINITY;
  private suspiciousMs = Number.NEGATIVE_INFINITY;

  /** A call of a kind. @param generation of the kind's number, which says whether it still stands for the same kind. */
  observe(kind: number, generation: number, tookMs: number, nowMs: number): void {
    let usual = this.usual[kind];
    if (usual === undefined || usual.generation !== generation) {
      usual = new UsualLatency(generation, nowMs);
      this.usual[kind] = usual;
    }
    const ln = Math.log(Math.max(tookMs, 0.01));
    if (usual.isKnown(nowMs)) {
      this.ratios.push(ln - usual.medianLn);
      this.tailRatios.push(ln - usual.p99Ln);
    }
    // What is suspicious is not to become usual, unless it stays.
    if (this.level < FAINT) this.suspiciousMs = nowMs;
    if (this.level < FAINT || nowMs - this.suspiciousMs > MAX_SUSPICION_MS) usual.learn(ln, nowMs);
  }

  /** Closes the block if it has enough calls. To be called of all endpoints before `judge` of any. */
  closeBlock(nowMs: number): void {
    this.block = undefined;
    if (this.ratios.length < BLOCK) return;
    const tail = tailOf(this.tailRatios);
    const ratios = Float64Array.from(this.ratios).sort();
    const step = 0.5 / Math.sqrt(ratios.length);
    // Order statistics on either side of the median: its standard error for any distribution.
    const error = (quantileOf(ratios, 0.5 + step) - quantileOf(ratios, 0.5 - step)) / 2;
    this.block = { shift: quantileOf(ratios, 0.5), error, tail };
    this.shift = this.block.shift;
    this.tailShift = tail;
    this.shiftMs = nowMs;
    this.ratios = [];
    this.tailRatios = [];
  }

  /** Logarithm of its median over what is usual, of the last block; undefined: there was none lately. */
  shiftAt(nowMs: number): number | undefined {
    return nowMs - this.shiftMs < RECENT_MS ? this.shift : undefined;
  }

  /**
   * Takes the block into account.
   * @param common what the peers show at the same time: a cause that all share is no sign of this endpoint. Above 0 only.
   */
  judge(common: number): void {
    if (this.block === undefined) {
      this.median.idle();
      this.tail.idle();
      return;
    }
    const { shift, error, tail } = this.block;
    const shared = Math.max(0, common);
    this.median.add(shift - shared, error);
    this.tail.add(Math.max(tail - shared, LEAST_TAIL), 0);
  }

  /** 0 to 1: ½ is an alarm. */
  get level(): number {
    return Math.max(this.median.level, this.tail.level);
  }

  /** One sentence. */
  get why(): string {
    const isTail = this.tail.level > this.median.level;
    const ratio = Math.exp(isTail ? this.tailShift : this.shift).toFixed(1);
    return isTail
      ? `its slowest calls take ${ratio} times what its slowest ones usually take`
      : `median latency ${ratio} times what is usual for it, at calls of the same kind`;
  }

  /** The endpoint was away, or is another process now: nothing that was usual counts. */
  forget(): void {
    this.usual.fill(undefined);
    this.drop();
    this.median.clear();
    this.tail.clear();
    this.shiftMs = Number.NEGATIVE_INFINITY;
  }

  /** The calls of the block that is being filled say nothing. */
  drop(): void {
    this.ratios = [];
    this.tailRatios = [];
    this.block = undefined;
  }
}

/** Mean, over each twenty calls in the order in which they came, of the second slowest. */
function tailOf(ratios: readonly number[]): number {
  const groups = Math.floor(ratios.length / BLOCK);
  let sum = 0;
  for (let group = 0; group < groups; group += 1) {
    let slowest = Number.NEGATIVE_INFINITY;
    let second = slowest;
    for (let i = group * BLOCK; i < (group + 1) * BLOCK; i += 1) {
      const ratio = ratios[i]!;
      if (ratio > slowest) {
        second = slowest;
        slowest = ratio;
      } else if (ratio > second) second = ratio;
    }
    sum += Math.min(Math.max(second, LEAST_TAIL), MOST_TAIL);
  }
  return sum / groups;
}

/** Of ascending values. */
function quantileOf(sorted: Float64Array, ratio: number): number {
  const at = Math.min(Math.max(ratio, 0), 1) * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low);
}
