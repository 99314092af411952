/** When calls of one kind are due: moments in order, ms. */
export class Pace {
  private readonly due: Iterator<number>;
  private next: IteratorResult<number>;

  constructor(due: Iterable<number>) {
    this.due = due[Symbol.iterator]();
    this.next = this.due.next();
  }

  /** How many calls have become due since the last question; they count as made. */
  take(nowMs: number): number {
    let taken = 0;
    for (; this.next.done !== true && this.next.value <= nowMs; taken += 1) this.next = this.due.next();
    return taken;
  }
}

/** Moments at even distances. @param perSecond 0: none. */
export function* evenly(perSecond: number, fromMs: number): Generator<number> {
  if (perSecond > 0) for (let atMs = fromMs; ; atMs += 1_000 / perSecond) yield atMs;
}
