/**
 * Whether the kernel has killed something for want of memory of late. A process that it killed got the same SIGKILL as one
 * that an operator ended; the difference is in `oom_kill` of /proc/vmstat (Linux 4.13, proc(5)), which counts for the whole
 * machine: looked at often, it tells which of the two it was.
 */

import { readFileSync } from 'node:fs';

/** A process with much memory takes a while to end after it was killed. */
const LATE_MS = 5_000;

export class OomKills {
  private before: number;
  private last: number;
  private lastReadMs: number;

  constructor(
    nowMs: number,
    private readonly read: () => number = oomKills,
  ) {
    this.last = read();
    this.before = this.last;
    this.lastReadMs = nowMs;
  }

  /** What was killed more than five seconds before is forgotten. */
  update(nowMs: number): void {
    if (nowMs - this.lastReadMs < LATE_MS) return;
    this.before = this.last;
    this.last = this.read();
    this.lastReadMs = nowMs;
  }

  /** Whether something was killed within the last five seconds or, at most, since the look before. */
  hasKilled(): boolean {
    return this.read() > this.before;
  }
}

/** 0 where it is not counted. */
function oomKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
