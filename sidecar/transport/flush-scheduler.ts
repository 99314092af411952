import type { Timers } from '../runtime/time/timers.js';

/** How long output of patient streams waits for more, ms, at most: the shortest time of a system timer. */
const HOLD_MS = 1;

/** Most turns postpone nothing. Never added to. */
const NOTHING: Postponed[] = [];

/** Something that flushes. */
export interface Flushable {
  isFlushScheduled: boolean;
  /** Number of the pass it was last flushed in; set by the scheduler. */
  flushedInPass: number;
  flush(): void;
}

/** Something that has more input than it may handle in one turn. */
export interface Postponed {
  /** A later turn has come: it goes on. */
  readOn(): void;
}

/** Something of which output may wait for more. */
export interface Patient {
  /** It is released within a millisecond; set by the scheduler. */
  isHeld: boolean;
  /** What waits is to be flushed, if it has not been. */
  release(): void;
}

/**
 * One write per connection and turn of the event loop: sessions that have something to write are collected while sockets
 * are read, and flushed together when all that had arrived has been read. What may wait for more waits across turns.
 */
export class FlushScheduler {
  private list: Flushable[] = [];
  private isScheduled = false;
  private passes = 0;
  /** Changes from one turn to the next in which anything is scheduled. */
  turn = 0;
  /** Those that have had their share of this turn; and of the turn before, which go on at the end of this one. */
  private postponed: Postponed[] = [];
  private due: Postponed[] = NOTHING;
  /** Those with output that may wait, and a timer that runs for them while there are any. */
  private held: Patient[] = [];
  /** Gets what a session throws, so that the others are flushed; null: it passes. */
  onThrow: ((session: object, error: unknown) => void) | null = null;
  private readonly release = (): void => this.releaseHeld();
  private readonly run = (): void => this.end();

  /** `defer` runs a function after this turn's reads (setImmediate); `timers` ends what waits across turns. */
  constructor(
    private readonly defer: (fn: () => void) => void,
    private readonly timers: Pick<Timers, 'after'>,
  ) {}

  schedule(session: Flushable): void {
    if (session.isFlushScheduled) return;
    session.isFlushScheduled = true;
    this.list.push(session);
    this.plan();
  }

  /** `session` goes on reading in the next turn, after all that has been read by then. */
  postpone(session: Postponed): void {
    this.postponed.push(session);
    this.plan();
  }

  private plan(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.defer(this.run);
  }

  /** `session` is released a millisecond from now at the latest: one timer serves all that wait. */
  hold(session: Patient): void {
    if (session.isHeld) return;
    session.isHeld = true;
    this.held.push(session);
    if (this.held.length === 1) this.timers.after(HOLD_MS, this.release);
  }

  private releaseHeld(): void {
    const held = this.held;
    this.held = [];
    for (const session of held) {
      session.isHeld = false;
      try {
        session.release();
      } catch (error) {
        this.thrown(session, error);
      }
    }
  }

  private end(): void {
    this.turn++;
    const { due } = this;
    this.due = NOTHING;
    for (const session of due) {
      try {
        session.readOn();
      } catch (error) {
        this.thrown(session, error);
      }
    }
    if (this.postponed.length > 0) {
      this.due = this.postponed;
      this.postponed = [];
    }
    this.pass();
    if (this.list.length > 0 || this.due.length > 0 || this.postponed.length > 0) this.defer(this.run);
    else this.isScheduled = false;
  }

  /**
   * Flushes each session once. Links that become dirty while others flush (credit given back, a retry) join the same pass;
   * a session that has more to write than it may at once waits for the next turn, so that it does not delay others.
   */
  private pass(): void {
    const list = this.list;
    const later: Flushable[] = [];
    this.passes++;
    for (let i = 0; i < list.length; i++) {
      const session = list[i]!;
      if (session.flushedInPass === this.passes) {
        later.push(session);
        continue;
      }
      session.flushedInPass = this.passes;
      session.isFlushScheduled = false;
      try {
        session.flush();
      } catch (error) {
        this.thrown(session, error);
      }
    }
    this.list = later;
  }

  private thrown(session: object, error: unknown): void {
    if (this.onThrow === null) throw error;
    this.onThrow(session, error);
  }
}
