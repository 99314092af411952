import { readFileSync } from 'node:fs';

/** From `/proc/PID/stat`: the state as one letter of proc(5), and CPU time in ms. */
export interface ProcessStat {
  readonly state: string;
  readonly cpuMs: number;
}

/** Linux shows CPU time in these ticks on every architecture that Node runs on (USER_HZ = 100). */
const TICK_MS = 10;
/** Most processes of one model server that are followed. */
const MOST_PROCESSES = 64;
const STOPPED = 'T';

/**
 * State and CPU time of a model process and its children, from proc(5) (Linux). Elsewhere nothing
 * is known, and nothing is concluded. Read synchronously: these files are kernel memory, about 10
 * µs each.
 */
export class ProcessSigns {
  constructor(private readonly pid: number) {}

  /**
   * State of the process; `T` also for a wrapper (shell, launcher) whose children are all stopped.
   * Empty: not known.
   */
  state(): string {
    const own = this.stat(this.pid)?.state ?? '';
    if (own !== 'S') return own;
    const below = this.childrenOf(this.pid).map((pid) => this.stat(pid)?.state);
    return below.length > 0 && below.every((state) => state === STOPPED) ? STOPPED : own;
  }

  /**
   * CPU time of the process and its descendants without the thread `thread` (the watcher), ms; −1:
   * not known.
   */
  cpuMs(thread: number): number {
    const own = this.stat(this.pid);
    if (own === undefined) return -1;
    let sum = own.cpuMs - (thread > 0 ? (this.threadStat(thread)?.cpuMs ?? 0) : 0);
    for (const pid of this.descendants()) sum += this.stat(pid)?.cpuMs ?? 0;
    return sum;
  }

  /** Resident memory of the process and its descendants, bytes; pages that they share count for each. −1: not known. */
  residentBytes(): number {
    const own = this.residentOf(this.pid);
    if (own < 0) return -1;
    let sum = own;
    for (const pid of this.descendants()) sum += Math.max(0, this.residentOf(pid));
    return sum;
  }

  private residentOf(pid: number): number {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
    return kib === undefined ? -1 : Number(kib) * 1024;
  }

  /** Whether the thread waits for a core or for paged-out memory, which explains its silence. */
  isStarved(thread: number): boolean {
    const state = this.threadStat(thread)?.state;
    return state === 'R' || state === 'D';
  }

  private threadStat(thread: number): ProcessStat | undefined {
    return this.stat(`${this.pid}/task/${thread}`);
  }

  private stat(of: number | string): ProcessStat | undefined {
    const text = read(`/proc/${of}/stat`);
    return text === undefined ? undefined : parseStat(text);
  }

  /** Children and theirs, as far as they are followed. */
  private descendants(): number[] {
    const found = [this.pid];
    for (let at = 0; at < found.length && found.length < MOST_PROCESSES; at++)
      found.push(...this.childrenOf(found[at]!));
    return found.slice(1);
  }

  /** Children of the first thread, which forks in every common server. */
  private childrenOf(pid: number): number[] {
    const text = read(`/proc/${pid}/task/${pid}/children`);
    return text === undefined ? [] : (text.match(/\d+/g) ?? []).map(Number);
  }
}

/** Parses `/proc/PID/stat`. CPU: user and kernel mode, with children that were waited for. */
export function parseStat(text: string): ProcessStat | undefined {
  // The command's name is in parentheses and may hold any character, parentheses and spaces too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  const ticks = fields.slice(11, 15).map(Number);
  if (ticks.length < 4 || ticks.some(Number.isNaN)) return undefined;
  return { state, cpuMs: ticks.reduce((sum, each) => sum + each, 0) * TICK_MS };
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
}
