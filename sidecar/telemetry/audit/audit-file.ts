import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { LockFile } from '../../runtime/process/lock-file.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import { type ChainHead, EMPTY_CHAIN, headAt, parseEntry } from './chain.js';

/** Of the end of an existing file so much is read to find its last line; a checkpoint with its certificates has a few KiB. */
const TAIL_BYTES = 1024 * 1024;
const NEWLINE = 10;

/** What was found at the start. */
export interface OpenedAuditFile {
  /** Where the chain goes on. */
  readonly head: ChainHead;
  /** Of a last line whose end is missing, as after a crash: it is taken away. */
  readonly cutBytes: number;
}

/** Sizes around an append, bytes: where they differ, something else has written or cut the file. */
export interface Appended {
  readonly expected: number;
  readonly found: number;
}

/** The files of an audit log: the present one, and older ones as `PATH.1`, `PATH.2`, …, the oldest with the highest number. */
export class AuditFile {
  /** Bytes of the present file that are whole lines. */
  private size = 0;
  /** A write of ours broke off: what is beyond `size` is half a line. */
  private isTorn = false;
  private readonly lock: LockFile;

  /**
   * @param rotateBytes size from which the next line begins a new file.
   * @param keep older files that stay; what is removed is named in the log.
   */
  constructor(
    readonly path: string,
    private readonly rotateBytes: number,
    private readonly keep: number,
  ) {
    this.lock = new LockFile(`${path}.lock`);
  }

  /**
   * Takes the file for this process, and finds the end of the chain, in it or in the last one that was rotated. Throws Error with
   * the reason, such as another process that still writes it.
   */
  open(): OpenedAuditFile {
    this.lock.acquire();
    const own = readTail(this.path);
    this.size = own.size;
    if (own.head !== undefined) return { head: own.head, cutBytes: own.cutBytes };
    return { head: readTail(numbered(this.path, 1)).head ?? EMPTY_CHAIN, cutBytes: own.cutBytes };
  }

  /** Keeps the file for this process until the timer is cancelled. @param onLost another process writes it. */
  keepLock(timers: Timers, onLost: () => void): Timer {
    return this.lock.keep(timers, onLost);
  }

  /** Lets another process write the file. */
  release(): void {
    this.lock.release();
  }

  /** Adds whole lines at the end, and waits until the disk has them. Rejects with nothing of them counted. */
  async append(lines: string): Promise<Appended> {
    const handle = await open(this.path, 'a', 0o640);
    try {
      const expected = this.size;
      let { size: found } = await handle.stat();
      // A file that was moved away meanwhile is shorter: another one has begun, without the half line.
      if (this.isTorn && found > expected) {
        await handle.truncate(expected);
        found = expected;
      }
      this.size = found;
      const bytes = Buffer.from(lines);
      // Until all of it is there: a disk may take half a line and then no more.
      this.isTorn = true;
      for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
      await handle.datasync();
      this.isTorn = false;
      this.size = found + bytes.length;
      return { expected, found };
    } finally {
      await handle.close().catch(() => {});
    }
  }

  /** Moves a full file away. What was done, for the log; undefined: nothing. */
  async rotateWhenFull(): Promise<Record<string, unknown> | undefined> {
    if (this.size < this.rotateBytes) return undefined;
    const { path, keep } = this;
    // How many older files there are.
    let last = 0;
    while (existsSync(numbered(path, last + 1))) last++;
    const removed: string[] = [];
    for (; last >= keep && last > 0; last--) {
      await rm(numbered(path, last));
      removed.push(numbered(path, last));
    }
    for (let i = last; i > 0; i--) await rename(numbered(path, i), numbered(path, i + 1));
    if (keep > 0) await rename(path, numbered(path, 1));
    else await rm(path);
    this.size = 0;
    return removed.length === 0 ? {} : { removed: removed.length };
  }
}

/** Path of an older file; 1 is the newest of them. */
function numbered(path: string, i: number): string {
  return `${path}.${i}`;
}

/** The end of the chain in one file; no head: there is none. Takes half a line away. */
function readTail(path: string): {
  readonly head?: ChainHead;
  readonly size: number;
  readonly cutBytes: number;
} {
  if (!existsSync(path)) return { size: 0, cutBytes: 0 };
  const fd = openSync(path, 'r+');
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(0, size - TAIL_BYTES);
    const tail = Buffer.alloc(size - from);
    readSync(fd, tail, 0, tail.length, from);
    const end = tail.lastIndexOf(NEWLINE) + 1;
    const cutBytes = tail.length - end;
    if (cutBytes > 0) ftruncateSync(fd, size - cutBytes);
    if (end === 0) return { size: size - cutBytes, cutBytes };
    const line = tail.toString('utf8', end < 2 ? 0 : tail.lastIndexOf(NEWLINE, end - 2) + 1, end - 1);
    const entry = parseEntry(line);
    if (entry === undefined) throw new Error(`${path}: the last line is not a line of an audit log`);
    return { head: headAt(entry.n, line), size: size - cutBytes, cutBytes };
  } finally {
    closeSync(fd);
  }
}
