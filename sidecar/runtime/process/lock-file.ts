import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { attempt } from '../attempt.js';

/** A lock left behind, the right to remove it left behind as well, and so on: more than this is no accident. */
const MAX_LEFT_BEHIND = 4;
/** link(2): file systems without hard links, such as some network shares, answer with one of these. */
const NO_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** Another process has the lock. Any other error of `acquire` says that the lock could not be made. */
export class LockHeldError extends Error {
  override readonly name = 'LockHeldError';
}

/**
 * Says that this process alone writes a file: a file beside it that holds the process's id and start time. A lock whose process has
 * ended counts for nothing, so that no crash leaves a file locked; of several processes that find such a lock, one gets it.
 */
export class LockFile {
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
   * The lock appears with its content, by a link to a file that is complete: one that is still empty would look left behind to
   * another process. False: there is a lock.
   */
  private made(own: string): boolean {
    const draft = `${this.path}.${process.pid}`;
    writeFileSync(draft, own, { mode: 0o640 });
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
    const pid = Number.parseInt(holder, 10);
    if (markOf(pid) === holder) throw new LockHeldError(`process ${pid} is writing it`);
  }

  private holder(): string {
    return `process ${Number.parseInt(this.read() ?? '', 10)}`;
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

function ownMark(): string {
  return markOf(process.pid) ?? `${process.pid}`;
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
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 22, counted after the name, which may hold blanks (proc_pid_stat(5)).
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return isAlive(pid) ? `${pid} -` : undefined;
  }
}

/** Signal 0 asks whether a process could be sent one (kill(2)). */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
