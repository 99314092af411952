/** Two answers that an engine gave up within this time show that it stops, ms: one alone may have been ended by an Abort that came another way. */
export const GIVING_UP_MS = 1_000;
/** Aborts within so long are counted together, ms: what is kept of them is bounded. */
const SLOT_MS = 100;

/** Aborts of one slot explain the ends of so many answers until then. */
interface Slot {
  readonly untilMs: number;
  ends: number;
}

/**
 * The answers that a language-model engine gave up though nobody here had asked for their end. Several within a second show that it stops, unless
 * Aborts of unknown ids explain all of them. Such an Abort explains the end of an answer whose id is not known either, for a second: most come after
 * the end of their answer, and end nothing.
 */
export class GivenUpAnswers {
  /** The last one, the one before, and the last that no Abort explains, monotonic ms. */
  private lastMs = Number.NEGATIVE_INFINITY;
  private beforeMs = Number.NEGATIVE_INFINITY;
  private unexplainedMs = Number.NEGATIVE_INFINITY;
  /** The oldest first. */
  private readonly slots: Slot[] = [];

  /** An Abort goes to the engine that names so many requests of unknown ids. */
  expectAborts(count: number, nowMs: number): void {
    this.dropSlots(nowMs);
    const untilMs = (Math.floor(nowMs / SLOT_MS) + 1) * SLOT_MS + GIVING_UP_MS;
    const last = this.slots.at(-1);
    if (last?.untilMs === untilMs) last.ends += count;
    else this.slots.push({ untilMs, ends: count });
  }

  /** @param isKnown the id of its request is known */
  record(isKnown: boolean, nowMs: number): void {
    this.beforeMs = this.lastMs;
    this.lastMs = nowMs;
    if (isKnown || !this.isExpected(nowMs)) this.unexplainedMs = nowMs;
  }

  /** It has just given several up, and not all of them for an Abort. */
  areSeveral(nowMs: number): boolean {
    const { lastMs, beforeMs, unexplainedMs } = this;
    if (nowMs - lastMs > GIVING_UP_MS || lastMs - beforeMs > GIVING_UP_MS) return false;
    return nowMs - unexplainedMs <= GIVING_UP_MS;
  }

  /** An Abort explains one end more, which is no longer expected then. */
  private isExpected(nowMs: number): boolean {
    this.dropSlots(nowMs);
    const first = this.slots[0];
    if (first === undefined) return false;
    first.ends--;
    if (first.ends === 0) this.slots.shift();
    return true;
  }

  private dropSlots(nowMs: number): void {
    while (this.slots.length > 0 && this.slots[0]!.untilMs < nowMs) this.slots.shift();
  }
}
