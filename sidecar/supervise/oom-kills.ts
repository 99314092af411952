import { readFileSync } from 'node:fs';

/** A process with much memory takes a while to exit after it was killed. */
const LATE_MS = 5_000;

/**
 * Whether the kernel has killed a process for want of memory within the last seconds: a SIGKILL by
 * the OOM killer looks like an operator's. Reads the machine-wide counter `oom_kill` of
 * /proc/vmstat (Linux 4.13, proc(5)).
 */
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

  /** To be called often: kills more than 5 s ago are forgotten. */
  update(nowMs: number): void {
    if (nowMs - this.lastReadMs < LATE_MS) return;
    this.before = this.last;
    this.last = this.read();
    this.lastReadMs = nowMs;
  }

  /** Whether a process was killed within the last 5 s, or since the update before that. */
  hasKilled(): boolean {
    return this.read() > this.before;
  }
}

/** The counter; 0 where the kernel has none. */
function oomKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
