/** So many pairs of calls count. */
const MEMORY = 64;
/** Below this number of pairs nothing is known. */
const MIN_PAIRS = 8;
/** Standard errors between what is found and what may be. */
const STANDARD_ERRORS = 2;
/** Where more calls than this part are overtaken by later ones, there is no line in which they wait. */
const MOST_OVERTAKEN = 1 / 16;
/** Waits that differ by less, as a part of the times, are equal. */
const MIN_DIFFERENCE = 0.02;

/**
 * How long calls wait for each other in a process that nobody describes: a model that runs one call at a time lets each wait for the one before it, one that
 * runs many at once lets none wait.
 *
 * Where calls are run one at a time, a call waits from its start until the end of the one before. The times show whether it does: from one call to the
 * next, the change of the time is held against the change of that wait, over the last 64 pairs, both as a part of the two times. A slope of 1
 * means that calls wait, 0 that they do not. Nor do they where later ones overtake them.
 */
export class SerialWait {
  /** The last call that ended. */
  private lastStartMs = Number.POSITIVE_INFINITY;
  private lastEndMs = Number.NEGATIVE_INFINITY;
  /** The last one that was timed. */
  private lastTookMs = 0;
  private lastWaitMs = 0;
  /** Share of calls that one which began later has overtaken. */
  private overtaken = 0;
  private pairs = 0;
  private waits = 0;
  private times = 0;
  private products = 0;
  /** The slope is at least and at most this. At first nothing is known. */
  private least = 0;
  private most = 1;
  /** How long the last call waited for others at least, and at most, ms. */
  leastMs = 0;
  mostMs = 0;

  /** A call that counts has ended. Calls are told in the order of their ends. */
  record(startMs: number, endMs: number): void {
    const tookMs = endMs - startMs;
    const isOvertaken = this.lastStartMs > startMs && this.lastStartMs !== Number.POSITIVE_INFINITY;
    this.overtaken += ((isOvertaken ? 1 : 0) - this.overtaken) / MEMORY;
    const waitMs = this.end(startMs, endMs);
    const both = tookMs + this.lastTookMs;
    const x = (waitMs - this.lastWaitMs) / both;
    const y = (tookMs - this.lastTookMs) / both;
    const isPair = this.lastTookMs > 0 && Math.abs(x) >= MIN_DIFFERENCE;
    this.lastTookMs = tookMs;
    this.lastWaitMs = waitMs;
    if (isPair) this.add(x, y);
    const isSerial = this.overtaken < MOST_OVERTAKEN;
    this.leastMs = isSerial ? this.least * waitMs : 0;
    this.mostMs = isSerial ? this.most * waitMs : 0;
  }

  /** A call of another kind has ended: others may have waited for it. Returned is how long it may have waited itself, ms. */
  end(startMs: number, endMs: number): number {
    // One that was overtaken has not waited in a line.
    const waitMs = this.lastStartMs <= startMs ? Math.max(0, this.lastEndMs - startMs) : 0;
    this.lastStartMs = startMs;
    this.lastEndMs = endMs;
    return waitMs;
  }

  private add(x: number, y: number): void {
    if (this.pairs < MEMORY) this.pairs += 1;
    const weight = 1 / this.pairs;
    this.waits += weight * (x * x - this.waits);
    this.times += weight * (y * y - this.times);
    this.products += weight * (x * y - this.products);
    if (this.pairs < MIN_PAIRS) return;
    const slope = this.products / this.waits;
    const unexplained = Math.max(0, this.times - this.products * slope);
    const doubt = STANDARD_ERRORS * Math.sqrt(unexplained / (this.waits * this.pairs));
    this.least = Math.min(Math.max(slope - doubt, 0), 1);
    this.most = Math.min(Math.max(slope + doubt, 0), 1);
  }
}
