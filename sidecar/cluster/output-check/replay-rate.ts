/** Bytes of requests that are put to peers again in a second, and at most at once. */
const BYTES_PER_SECOND = 16 * 1024 * 1024;

/** Bounds the traffic that questions to peers make: a token bucket, in which a request may overdraw what is left. */
export class ReplayRate {
  private left = BYTES_PER_SECOND;
  private filledMs = 0;

  /** Whether another request may be sent now. */
  isOpen(nowMs: number): boolean {
    this.fill(nowMs);
    return this.left > 0;
  }

  /** A request of so many bytes is sent. */
  take(bytes: number, nowMs: number): void {
    this.fill(nowMs);
    this.left -= bytes;
  }

  private fill(nowMs: number): void {
    this.left = Math.min(BYTES_PER_SECOND, this.left + ((nowMs - this.filledMs) * BYTES_PER_SECOND) / 1_000);
    this.filledMs = nowMs;
  }
}
