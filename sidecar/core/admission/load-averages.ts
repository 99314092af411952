/** Time in which a past load falls to 1/e in the averages, ms. */
const AVERAGED_MS = 1_000;

/**
 * The load of a model in the mean of about the last second: calls that it has, calls that end and calls that fail per second. The calls
 * that it has are sampled whenever a caller is told. Between two samples they count as they are at the later one, so that short calls, which
 * all begin and end in between, would be none: the time of those that have ended counts as well, and the greater of both is the mean.
 */
export class LoadAverages {
  /** Calls in the mean. */
  calls = 0;
  /** Ends per second, and failures among them. */
  rps = 0;
  eps = 0;
  /** By samples alone. */
  private sampled = 0;
  /** By calls that have ended alone, at `busyAtMs`. */
  private busy = 0;
  private busyAtMs = 0;
  /** Ends and failures so far, counted as they come. */
  private ended = 0;
  private failed = 0;
  private endedBefore = 0;
  private failedBefore = 0;
  /** Of the last sample; NaN before the first. */
  private atMs = Number.NaN;
  /** There has been a call. */
  private isBegun = false;

  /** A call has ended. @param heldMs how long the model had it, in its queue included. */
  end(isFailure: boolean, heldMs: number, nowMs: number): void {
    this.ended += 1;
    if (isFailure) this.failed += 1;
    // The integral of exp(−age ÷ AVERAGED_MS) over the time of the call, as a share of that over all time.
    this.busy = this.busyNow(nowMs) - Math.expm1(-heldMs / AVERAGED_MS);
    this.busyAtMs = nowMs;
  }

  private busyNow(nowMs: number): number {
    return this.busy * Math.exp((this.busyAtMs - nowMs) / AVERAGED_MS);
  }

  /** Takes a sample. @param calls that the model has now. */
  sample(calls: number, nowMs: number): void {
    const elapsedMs = nowMs - this.atMs;
    if (elapsedMs <= 0) return;
    const weight = -Math.expm1(-elapsedMs / AVERAGED_MS);
    // The time before the first call is no part of the mean: it says nothing of the load that has begun.
    this.sampled = this.isBegun ? this.sampled + (calls - this.sampled) * weight : calls;
    this.calls = Math.max(this.sampled, this.busyNow(nowMs));
    this.isBegun ||= calls > 0 || this.ended > 0;
    if (!Number.isNaN(elapsedMs)) {
      this.rps += (((this.ended - this.endedBefore) * 1000) / elapsedMs - this.rps) * weight;
      this.eps += (((this.failed - this.failedBefore) * 1000) / elapsedMs - this.eps) * weight;
    }
    this.atMs = nowMs;
    this.endedBefore = this.ended;
    this.failedBefore = this.failed;
  }
}
