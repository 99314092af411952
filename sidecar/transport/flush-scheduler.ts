/** Something that flushes. */
export interface Flushable {
  isFlushScheduled: boolean;
  /** Number of the pass it was last flushed in; set by the scheduler. */
  flushedInPass: number;
  flush(): void;
}

/**
 * One write per connection and turn of the event loop: sessions that have something to write are collected while sockets
 * are read, and flushed together when all that had arrived has been read.
 */
export class FlushScheduler {
  private list: Flushable[] = [];
  private isScheduled = false;
  private passes = 0;
  private readonly run = (): void => this.end();

  /** `defer` runs a function after this turn's reads (setImmediate). */
  constructor(private readonly defer: (fn: () => void) => void) {}

  schedule(session: Flushable): void {
    if (session.isFlushScheduled) return;
    session.isFlushScheduled = true;
    this.list.push(session);
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.defer(this.run);
  }

  private end(): void {
    this.pass();
    if (this.list.length > 0) this.defer(this.run);
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
      session.flush();
    }
    this.list = later;
  }
}
