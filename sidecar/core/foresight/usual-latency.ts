/** Time in which the weight of what was observed halves, ms. Load over a day moves latencies less than that hides. */
const HALF_LIFE_MS = 10 * 60_000;
/** So many calls, over at least this time, before what is usual is known. A percentile of fewer is the largest of a few. */
const LEARN_CALLS = 200;
const LEARN_MS = 20_000;
/** Eight buckets to a doubling, from 10 µs to ten minutes. */
const STEPS = 8;
const DOUBLINGS = 26;
const LEAST_MS = 0.01;
/** Quantiles are worked out again after this time, ms. */
const REFRESH_MS = 5_000;
/** Weights beyond this are scaled down. */
const MAX_WEIGHT = 2 ** 20;

/**
 * What is usual for an endpoint at calls of one kind: its median and its 99th percentile over some ten minutes, as natural
 * logarithms of ms. A histogram with forward decay (Cormode et al. 2009): newer calls weigh more, so that nothing has to be aged.
 */
export class UsualLatency {
  /** Natural logarithm of the median and of the 99th percentile, ms; only of use while `isKnown`. */
  medianLn = 0;
  p99Ln = 0;
  private readonly buckets = new Float32Array(STEPS * DOUBLINGS);
  private total = 0;
  private calls = 0;
  private dueMs = Number.NEGATIVE_INFINITY;
  private originMs: number;
  private readonly startedMs: number;

  /**
   * @param generation of the number that stands for the kind: with another one it stands for another kind.
   * @param nowMs monotonic.
   */
  constructor(
    readonly generation: number,
    nowMs: number,
  ) {
    this.originMs = nowMs;
    this.startedMs = nowMs;
  }

  /** Whether enough has been seen. */
  isKnown(nowMs: number): boolean {
    if (this.calls < LEARN_CALLS || nowMs - this.startedMs < LEARN_MS) return false;
    if (nowMs >= this.dueMs) this.refresh(nowMs);
    return true;
  }

  /** A call that took exp(`ln`) ms. */
  learn(ln: number, nowMs: number): void {
    let weight = 2 ** ((nowMs - this.originMs) / HALF_LIFE_MS);
    // Before it is added: after a week without a call it is more than a number can be, and what is left of the past is 0.
    if (weight > MAX_WEIGHT) {
      this.scaleDown(weight, nowMs);
      weight = 1;
    }
    this.buckets[bucketOf(ln)]! += weight;
    this.total += weight;
    this.calls += 1;
  }

  private scaleDown(weight: number, nowMs: number): void {
    for (let i = 0; i < this.buckets.length; i += 1) this.buckets[i]! /= weight;
    this.total /= weight;
    this.originMs = nowMs;
  }

  private refresh(nowMs: number): void {
    this.medianLn = this.quantileLn(0.5);
    this.p99Ln = this.quantileLn(0.99);
    this.dueMs = nowMs + REFRESH_MS;
  }

  private quantileLn(ratio: number): number {
    let left = ratio * this.total;
    for (let i = 0; i < this.buckets.length; i += 1) {
      const here = this.buckets[i]!;
      if (here > 0 && here >= left) return lnOf(i + left / here);
      left -= here;
    }
    return lnOf(this.buckets.length);
  }
}

function bucketOf(ln: number): number {
  const at = Math.floor(((ln - Math.log(LEAST_MS)) * STEPS) / Math.LN2);
  return Math.min(Math.max(at, 0), STEPS * DOUBLINGS - 1);
}

function lnOf(bucket: number): number {
  return Math.log(LEAST_MS) + (bucket * Math.LN2) / STEPS;
}
