import { readFileSync } from 'node:fs';
import { attempt } from '../../../runtime/attempt.js';

/** `sysconf(_SC_CLK_TCK)` of Linux, which is the same on every machine that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process so far, ms; undefined where it cannot be read (gone, or no Linux). */
export function cpuMsOf(pid: number): number | undefined {
  return attempt(() => cpuMsIn(readFileSync(`/proc/${pid}/stat`, 'utf8')), undefined);
}

/** User and system time in a line of `/proc/PID/stat`, ms. */
export function cpuMsIn(stat: string): number {
  // The name of the program, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

/** CPU time of processes that may come and go: what each has used since it was first looked at, or since its start if that was later. */
export class CpuMeter {
  private readonly first = new Map<number, number>();
  private readonly last = new Map<number, number>();

  /** @param pids those that run at the begin: what they used before does not count. */
  constructor(pids: readonly number[]) {
    for (const pid of pids) this.first.set(pid, cpuMsOf(pid) ?? 0);
  }

  /** Reads the processes that run now. A process that ends loses what it used since the last look. */
  look(pids: readonly number[]): void {
    for (const pid of pids) {
      const ms = cpuMsOf(pid);
      if (ms !== undefined) this.last.set(pid, ms);
    }
  }

  /** Ms so far; undefined where nothing could be read. */
  get total(): number | undefined {
    if (this.last.size === 0) return undefined;
    return [...this.last].reduce((sum, [pid, ms]) => sum + ms - (this.first.get(pid) ?? 0), 0);
  }
}
