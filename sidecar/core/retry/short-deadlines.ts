/** Classes of the time that is left, by powers of two: below 1 ms, 1, 2 to 3, … 32 s and more. */
const CLASSES = 17;
/** So many extra attempts in a row that ended by the deadlines of their calls show that nothing is answered so soon. */
const MOST_LATE = 10;
/** Then one in this time is still made, ms: answers may have become quicker. */
const PROBE_MS = 1_000;
/** After this time without one, nothing is known any more, ms. */
const FORGOTTEN_MS = 10_000;
/** Methods that are told apart; the others are one. */
const MAX_METHODS = 64;
const OTHER = 'other';

/** Extra attempts of one method by the time that their calls had left for them. */
class MethodTimes {
  private readonly late = new Uint8Array(CLASSES);
  private readonly lateMs = new Float64Array(CLASSES).fill(Number.NEGATIVE_INFINITY);
  private readonly probeMs = new Float64Array(CLASSES).fill(Number.NEGATIVE_INFINITY);

  mayTry(leftMs: number, nowMs: number): boolean {
    const at = classOf(leftMs);
    if (this.late[at]! < MOST_LATE || nowMs - this.lateMs[at]! >= FORGOTTEN_MS) return true;
    if (nowMs - this.probeMs[at]! < PROBE_MS) return false;
    this.probeMs[at] = nowMs;
    return true;
  }

  recordLate(leftMs: number, nowMs: number): void {
    const at = classOf(leftMs);
    const isForgotten = nowMs - this.lateMs[at]! >= FORGOTTEN_MS;
    this.late[at] = isForgotten ? 1 : Math.min(MOST_LATE, this.late[at]! + 1);
    this.lateMs[at] = nowMs;
  }

  recordAnswer(tookMs: number): void {
    this.late.fill(0, classOf(tookMs));
  }
}

/**
 * Retries and hedges that can only end by the deadline of their call, as nothing is answered in the time that is left. They would use up the
 * budget, so that calls with more time had none. Where the last ten of a method with so little time ended so, and no answer of the method took no longer,
 * the call gets its failure at once.
 */
export class ShortDeadlines {
  private readonly methods = new Map<string, MethodTimes>();

  /** Nothing was late yet: answers need not be told. */
  get isIdle(): boolean {
    return this.methods.size === 0;
  }

  /** Whether an extra attempt may be answered in time. Ask it where one would be made. */
  mayTry(method: string, leftMs: number, nowMs: number): boolean {
    return this.of(method)?.mayTry(leftMs, nowMs) ?? true;
  }

  /** An extra attempt ended by the deadline of its call, which was so far away as it began. */
  recordLate(method: string, leftMs: number, nowMs: number): void {
    let times = this.of(method);
    if (times === undefined) {
      times = new MethodTimes();
      this.methods.set(this.methods.size < MAX_METHODS ? method : OTHER, times);
    }
    times.recordLate(leftMs, nowMs);
  }

  /** A call was answered. */
  recordAnswer(method: string, tookMs: number): void {
    this.of(method)?.recordAnswer(tookMs);
  }

  private of(method: string): MethodTimes | undefined {
    return (
      this.methods.get(method) ?? (this.methods.size > MAX_METHODS ? this.methods.get(OTHER) : undefined)
    );
  }
}

function classOf(ms: number): number {
  if (!(ms >= 1)) return 0;
  return Math.min(CLASSES - 1, 32 - Math.clz32(Math.min(ms, 0x7fff_ffff)));
}
