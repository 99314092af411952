/** Time in which a past load falls to 1/e in the averages, ms. */
const AVERAGED_MS = 1_000;

/**
 * The load of a model in the mean of about the last second: calls that it has, calls that end and calls that fail per second. What is
 * read is sampled whenever a caller is told; between two samples it counts as it is at the later one.
 */
export class LoadAverages {
  /** Calls in the mean. */
  calls = 0;
  /** Ends per second, and failures among them. */
  rps = 0;
  eps = 0;
  /** Ends and failures so far, counted as they come. */
  private ended = 0;
  private failed = 0;
  private endedBefore = 0;
  private failedBefore = 0;
  /** Of the last sample; NaN before the first. */
  private atMs = Number.NaN;
  /** There has been a call. */
  private isBegun = false;

  /** A call has ended. */
  end(isFailure: boolean): void {
    this.ended += 1;
    if (isFailure) this.failed += 1;
  }

  /** Takes a sample. @param calls that the model has now. */
  sample(calls: number, nowMs: number): void {
    const elapsedMs = nowMs - this.atMs;
    if (elapsedMs <= 0) return;
    const weight = -Math.expm1(-elapsedMs / AVERAGED_MS);
    // The time before the first call is no part of the mean: it says nothing of the load that has begun.
    this.calls = this.isBegun ? this.calls + (calls - this.calls) * weight : calls;
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
