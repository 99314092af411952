/** Calls of one second that are kept; of more, every second, third, … */
const CAPACITY = 128;

/**
 * The calls that an endpoint has answered since they were last taken. A call costs two array writes; what follows from it is worked
 * out once a second.
 */
export class RecentCalls {
  private readonly times = new Float32Array(CAPACITY);
  private readonly kinds = new Uint8Array(CAPACITY);
  private kept = 0;
  private seen = 0;
  private stride = 1;

  /** A call that succeeded. @param kind number of its class (outlier/call-class.ts). */
  record(kind: number, tookMs: number): void {
    this.seen += 1;
    if (this.kept >= CAPACITY || (this.stride > 1 && this.seen % this.stride !== 0)) return;
    this.kinds[this.kept] = kind;
    this.times[this.kept] = tookMs;
    this.kept += 1;
  }

  /** Calls each of them, oldest first, and forgets them. */
  take(each: (kind: number, tookMs: number) => void): void {
    const { kept, seen } = this;
    this.clear();
    // Evenly from the next second, where there were more calls than places.
    this.stride = Math.max(1, Math.ceil(seen / CAPACITY));
    for (let i = 0; i < kept; i += 1) each(this.kinds[i]!, this.times[i]!);
  }

  clear(): void {
    this.kept = 0;
    this.seen = 0;
  }
}
