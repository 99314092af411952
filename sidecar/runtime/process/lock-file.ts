import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';

/** Once for a lock that a process has left behind, and once more. */
const TRIES = 2;

/**
 * Says that this process alone writes a file: a file beside it that holds the process's id and start time. A lock whose process has
 * ended counts for nothing, so that no crash leaves a file locked.
 */
export class LockFile {
  constructor(readonly path: string) {}

  /** Throws Error with the id of the process that has the lock, or with what keeps the file from being made. */
  acquire(): void {
    const own = markOf(process.pid) ?? `${process.pid}`;
    for (let left = TRIES; left > 0; left--) {
      try {
        writeFileSync(this.path, own, { flag: 'wx', mode: 0o640 });
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = readFileSync(this.path, 'utf8');
      const pid = Number.parseInt(holder, 10);
      if (holder !== own && markOf(pid) === holder) throw new Error(`process ${pid} is writing it`);
      unlinkSync(this.path);
    }
  }

  /** Lets another process have it. Throws where it is gone. */
  release(): void {
    unlinkSync(this.path);
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
