import { linkSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { attempt } from '../attempt.js';
import type { Timer, Timers } from '../time/timers.js';
import { ownPlace, startTimeOf } from './owned-processes.js';

/** A lock left behind, the right to remove it left behind as well, and so on: more than this is no accident. */
const MAX_LEFT_BEHIND = 4;
/** link(2): file systems without hard links, such as some network shares, answer with one of these. */
const NO_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** A process that keeps a lock refreshes it this often, ms. */
const REFRESH_MS = 3_000;
/** A lock from where processes cannot be looked up, such as another container, counts for this long after its last refresh, ms. */
const FOREIGN_MS = 15_000;

/** Another process has the lock. Any other error of `acquire` says that the lock could not be made. */
export class LockHeldError extends Error {
  override readonly name = 'LockHeldError';
}

/**
 * Says that this process alone writes a file: a file beside it that holds the process's id and start time, and where that id holds. A
 * lock whose process has ended counts for nothing, so that no crash leaves a file locked; of several processes that find such a lock,
 * one gets it. Processes of another container or another machine cannot be looked up: such a lock counts while it is refreshed.
 */
export class LockFile {
  /** The time of the file system at the last try to make the lock: clocks of machines that share it may differ. */
  private lookedMs = 0;

  constructor(
    readonly path: string,
    /** How many locks that were left behind may still be removed to get this one. */
    private readonly depth = MAX_LEFT_BEHIND,
  ) {}

  /** Throws `LockHeldError` with the id of the process that has the lock, or Error with what keeps the file from being made. */
  acquire(): void {
    const own = ownMark();
    if (this.made(own)) return;
    this.removeLeftBehind(own);
    if (!this.made(own)) throw new LockHeldError(`${this.holder()} is writing it`);
  }

  /** Lets another process have it. A lock that is gone, or that another process has made since, is not ours. Never throws. */
  release(): void {
    attempt(() => {
      if (this.read() === ownMark()) unlinkSync(this.path);
    }, undefined);
  }

  /**
   * Refreshes the lock while this process has it, until the timer is cancelled.
   *
   * @param onLost another process has it: this one was frozen for too long, or a person has removed the file.
   */
  keep(timers: Timers, onLost: () => void): Timer {
    const refresh = async (): Promise<void> => {
      // A disk that fails now may work at the next time.
      if ((await this.refresh().catch(() => true)) || isOver) return;
      timer.cancel();
      onLost();
    };
    let isOver = false;
    const timer = timers.every(REFRESH_MS, () => void refresh(), { unref: true });
    return {
      cancel: () => {
        isOver = true;
        timer.cancel();
      },
    };
  }

  /** Not on the event loop: the disk may hang. False: the lock is not ours any more. */
  private async refresh(): Promise<boolean> {
    const own = ownMark();
    let file: Awaited<ReturnType<typeof open>>;
    try {
      file = await open(this.path, 'r+');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
    try {
      if ((await file.readFile('utf8')) !== own) return false;
      // The file system notes its own time, as that of this machine may be another.
      await file.write(own, 0);
      return true;
    } finally {
      await file.close().catch(() => {});
    }
  }

  /**
   * The lock appears with its content, by a link to a file that is complete: one that is still empty would look left behind to
   * another process. False: there is a lock.
   */
  private made(own: string): boolean {
    const draft = draftOf(this.path);
    writeFileSync(draft, own, { mode: 0o640 });
    this.lookedMs = statSync(draft).mtimeMs;
    try {
      return tried(() => linkSync(draft, this.path));
    } catch (error) {
      if (!NO_LINKS.includes((error as NodeJS.ErrnoException).code)) throw error;
      return tried(() => writeFileSync(this.path, own, { flag: 'wx', mode: 0o640 }));
    } finally {
      unlinkSync(draft);
    }
  }

  /**
   * Between a look at a lock and its removal another process may have removed it and made its own. So removing needs a lock as well,
   * and below that lock one looks again: what is seen then has no process, and nothing else removes it. Where nothing is seen there is
   * nothing to remove: what appears a moment later is the lock of a process.
   */
  private removeLeftBehind(own: string): void {
    this.refuseHeld(this.read(), own);
    if (this.depth === 0) throw new Error(`${this.path} cannot be removed`);
    const right = new LockFile(`${this.path}.old`, this.depth - 1);
    right.acquire();
    try {
      // One look: between two the lock of a process may appear.
      const left = this.read();
      this.refuseHeld(left, own);
      if (left !== undefined) unlinkSync(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // it was given back meanwhile
    } finally {
      right.release();
    }
  }

  /** Throws when the process that made the lock is still there, and is another one. A lock that is gone has none. */
  private refuseHeld(holder: string | undefined, own: string): void {
    if (holder === undefined || holder === own || holder === '') return;
    if (isForeign(holder) ? this.isFresh() : markOf(Number.parseInt(holder, 10)) === withoutPlace(holder))
      throw new LockHeldError(`${nameOf(holder)} is writing it`);
  }

  /** One that was made or refreshed just now. A time far in the future is as old: the clock was set back. */
  private isFresh(): boolean {
    const { mtimeMs = Number.NEGATIVE_INFINITY } = statSync(this.path, { throwIfNoEntry: false }) ?? {};
    return Math.abs(this.lookedMs - mtimeMs) < FOREIGN_MS;
  }

  private holder(): string {
    return nameOf(this.read() ?? '');
  }

  /** Undefined: it is gone. */
  private read(): string | undefined {
    try {
      return readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}

/** The file that becomes the lock at `path`. Processes of two containers may have one id, so the name has their place, too. */
export function draftOf(path: string): string {
  const [boot = '', namespace = '0'] = ownPlace()?.split('/') ?? [];
  return [path, Number.parseInt(boot.slice(0, 8), 16) || 0, namespace, process.pid].join('.');
}

/** Id and start time, and where they hold; without /proc the id alone. */
function ownMark(): string {
  const mark = markOf(process.pid) ?? `${process.pid}`;
  const place = ownPlace();
  return place === undefined ? mark : `${mark} ${place}`;
}

/** Earlier versions wrote no place: their locks are taken for locks of here. */
function isForeign(mark: string): boolean {
  const place = /^\d+ \d+ (\S+\/\d+)$/.exec(mark)?.[1];
  return place !== undefined && place !== ownPlace();
}

function withoutPlace(mark: string): string {
  return mark.split(' ', 2).join(' ');
}

/** For messages. */
function nameOf(mark: string): string {
  return `process ${Number.parseInt(mark, 10)}${isForeign(mark) ? ' of another container or machine' : ''}`;
}

/** False: the file exists. */
function tried(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Id and start time of a process, so that a later one with the same id is not taken for it; undefined: there is no such process.
 * Where there is no /proc, the id alone has to do.
 */
function markOf(pid: number): string | undefined {
  if (!(pid > 0)) return undefined;
  if (startTimeOf(process.pid) === undefined) return isAlive(pid) ? `${pid} -` : undefined;
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : `${pid} ${startTime}`;
}

/** Signal 0 asks whether a process could be sent one (kill(2)). */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
