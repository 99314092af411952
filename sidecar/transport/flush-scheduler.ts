/**
 * One write per connection per turn of the event loop: links that have something to write are collected while
 * sockets are being read, and flushed together when all that had arrived has been read.
 */

/** Something that flushes. */
export interface Flushable {
  isEnlisted: boolean;
  /** Number of the pass it was last flushed in; the turn's own. */
  flushedIn: number;
  flush(): void;
}

export class FlushScheduler {
  private list: Flushable[] = [];
  private isScheduled = false;
  private passes = 0;
  private readonly run = (): void => this.end();

  /** `defer` runs a function after this turn's reads (setImmediate). */
  constructor(private readonly defer: (fn: () => void) => void) {}

  schedule(link: Flushable): void {
    if (link.isEnlisted) return;
    link.isEnlisted = true;
    this.list.push(link);
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
   * Flushes each link once. Links that become dirty while others flush (credit given back, a retry) join the same pass;
   * a link that has more to write than it may at once waits for the next turn, so that nobody is kept waiting for it.
   */
  private pass(): void {
    const list = this.list;
    const later: Flushable[] = [];
    this.passes++;
    for (let i = 0; i < list.length; i++) {
      const link = list[i]!;
      if (link.flushedIn === this.passes) {
        later.push(link);
        continue;
      }
      link.flushedIn = this.passes;
      link.isEnlisted = false;
      link.flush();
    }
    this.list = later;
  }
}
