/** Weight of one stream in the mean, after the first ten. */
const WEIGHT = 0.1;

/** How long a model usually needs for the first message of a stream, from when that has its place: a mean that follows. */
export class FirstMessageTime {
  /** ms; 0: not known. */
  meanMs = 0;
  /** Streams in the mean, up to 1 ÷ WEIGHT. */
  private streams = 0;

  /** A first message has come after so many ms. */
  record(tookMs: number): void {
    // A plain mean at first, as that of runs is (queue.ts).
    if (this.streams * WEIGHT < 1) this.streams += 1;
    this.meanMs += (tookMs - this.meanMs) / this.streams;
  }

  /** None had come after so many ms, when the stream ended: that says something where it is more than usual. */
  recordAtLeast(ms: number): void {
    if (ms > this.meanMs) this.record(ms);
  }
}
