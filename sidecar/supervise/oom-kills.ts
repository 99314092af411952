/**
 * Whether the kernel has killed something for want of memory of late. A process that it killed got the same SIGKILL as one
 * that an operator ended; the difference is in `oom_kill` of /proc/vmstat (Linux 4.13, proc(5)), which counts for the whole
 * machine: looked at often, it tells which of the two it was.
 */

import { readFileSync } from 'node:fs';

export class OomKills {
  private seen: number;

  constructor(private readonly read: () => number = oomKills) {
    this.seen = read();
  }

  /** What was killed until now is forgotten. */
  look(): void {
    this.seen = this.read();
  }

  /** Whether something was killed since the last look. */
  since(): boolean {
    return this.read() > this.seen;
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
