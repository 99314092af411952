/** When calls are due. */
export interface Pace {
  /** How many calls have become due since the last question; they count as made. */
  take(nowMs: number): number;
}

/** Calls of one kind are due at even distances. */
export class EvenPace implements Pace {
  private nextMs: number;

  /** @param perSecond 0: never. @param fromMs when the first call is due. */
  constructor(
    private readonly perSecond: number,
    fromMs: number,
  ) {
    this.nextMs = perSecond > 0 ? fromMs : Number.POSITIVE_INFINITY;
  }

  take(nowMs: number): number {
    let due = 0;
    for (; this.nextMs <= nowMs; this.nextMs += 1_000 / this.perSecond) due += 1;
    return due;
  }
}

/** Calls are due at given times, ms, in order. */
export class ListedPace implements Pace {
  private taken = 0;

  constructor(private readonly dueMs: readonly number[]) {}

  take(nowMs: number): number {
    const before = this.taken;
    while (this.taken < this.dueMs.length && this.dueMs[this.taken]! <= nowMs) this.taken += 1;
    return this.taken - before;
  }
}

type Paces<Kind> = readonly (readonly [Kind, Pace])[];

/** Makes calls when they are due, whatever becomes of those before: an open loop. */
export class PacedLoop<Kind> {
  /** Replaced as a whole when the rates change. */
  private paces: Paces<Kind> = [];
  private timer: NodeJS.Timeout | undefined;

  /** @param now ms, on the clock of the paces. @param make makes one call that is due. */
  constructor(
    private readonly now: () => number,
    private readonly make: (kind: Kind) => void,
    private readonly tickMs: number,
  ) {}

  get isRunning(): boolean {
    return this.timer !== undefined;
  }

  start(paces: Paces<Kind>): void {
    this.change(paces);
    this.timer = setInterval(() => this.makeWhatIsDue(), this.tickMs);
  }

  /** Calls in this manner from now on. What was due before is already made. */
  change(paces: Paces<Kind>): void {
    this.paces = paces;
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private makeWhatIsDue(): void {
    const nowMs = this.now();
    for (const [kind, pace] of this.paces) for (let due = pace.take(nowMs); due > 0; due--) this.make(kind);
  }
}
