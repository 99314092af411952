/** A token bucket: so many a second, and as many at once. */
export class Allowance {
  private left: number;

  /** @param perSecond 0: none. @param nowMs monotonic. */
  constructor(
    private readonly perSecond: number,
    private nowMs: number,
  ) {
    this.left = perSecond;
  }

  /** One more; false: there is none left for now. */
  take(nowMs: number): boolean {
    const earned = (Math.max(0, nowMs - this.nowMs) / 1_000) * this.perSecond;
    this.left = Math.min(this.perSecond, this.left + earned);
    this.nowMs = nowMs;
    if (this.left < 1) return false;
    this.left--;
    return true;
  }
}
