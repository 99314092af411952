/**
 * One write per connection per turn of the event loop: links that have something to write are collected while
 * sockets are being read, and flushed together when all that had arrived has been read.
 */

/** Something that flushes. */
export interface Flushable {
  isEnlisted: boolean;
  flush(): void;
}

export class Turn {
  private list: Flushable[] = [];
  private isScheduled = false;
  private readonly run = (): void => this.flushAll();

  /** `defer` runs a function after this turn's reads (setImmediate). */
  constructor(private readonly defer: (fn: () => void) => void) {}

  enlist(link: Flushable): void {
    if (link.isEnlisted) return;
    link.isEnlisted = true;
    this.list.push(link);
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.defer(this.run);
  }

  private flushAll(): void {
    const list = this.list;
    // Links that become dirty while others flush (credit given back, a retry) join the same turn.
    for (let i = 0; i < list.length && i < 4096; i++) {
      const link = list[i]!;
      link.isEnlisted = false;
      link.flush();
    }
    if (list.length > 4096) {
      this.list = list.slice(4096);
      this.defer(this.run);
      return;
    }
    this.list = [];
    this.isScheduled = false;
  }
}
