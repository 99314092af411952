import { write, writeSync } from 'node:fs';

const FD = 2;
/** Characters held while the reader is slow. */
const MAX_HELD = 1024 * 1024;
/** Written at once, at most. */
const MAX_WRITE = 64 * 1024;
/** A pipe that is full is tried again after this; at the end of the process so many times. */
const BUSY_MS = 20;
const LAST_TRIES = 25;
const NEWLINE = 10;

/** The calls of the system that are used here. */
export interface Writing {
  write(
    buffer: Buffer,
    start: number,
    done: (error: NodeJS.ErrnoException | null, bytes: number) => void,
  ): void;
  writeSync(buffer: Buffer, start: number): number;
  /** Calls `then` once, after so many ms; keeps no process from ending. */
  after(ms: number, then: () => void): void;
  /** Returns after so many ms: at the end of a process no timer fires any more. */
  sleep(ms: number): void;
}

/**
 * Standard error, as one place for all lines of the process. What it holds is bounded (1 MiB), and what is not taken,
 * because the disk is full or the reader is slow or gone, is dropped and counted. At the end of the process it is
 * tried once more, for half a second: a log that cannot be written does not keep the process from ending.
 */
export class StderrWriter {
  dropped = 0;
  private readonly chunks: string[] = [];
  private held = 0;
  /** Under way, or waiting for a full pipe; from `at` on it has not been taken. */
  private current: Buffer | undefined;
  private at = 0;
  private isInSystem = false;

  constructor(private readonly system: Writing = SYSTEM) {}

  /** Takes one line with its newline. Returns at once. */
  write(line: string): void {
    if (this.held + line.length > MAX_HELD) {
      this.dropped++;
      return;
    }
    this.held += line.length;
    const last = this.chunks.length - 1;
    if (last >= 0 && this.chunks[last]!.length + line.length <= MAX_WRITE) this.chunks[last] += line;
    else this.chunks.push(line);
    if (this.current === undefined) this.next();
  }

  /** Writes what is held, now; gives up when that does not go. For the end of the process. */
  flush(): void {
    // What the system has already, it may write yet.
    if (this.isInSystem) this.current = undefined;
    let busy = 0;
    for (let buffer = this.take(); buffer !== undefined; buffer = this.take()) {
      try {
        this.at += this.system.writeSync(buffer, this.at);
      } catch (error) {
        busy++;
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || busy > LAST_TRIES) return;
        this.system.sleep(BUSY_MS);
      }
    }
  }

  private next(): void {
    const buffer = this.take();
    if (buffer === undefined) return;
    this.isInSystem = true;
    this.system.write(buffer, this.at, (error, bytes) => {
      this.isInSystem = false;
      if (this.current !== buffer) return; // the end of the process came in between
      if (error === null) this.at += bytes;
      else if (error.code === 'EAGAIN') return this.system.after(BUSY_MS, () => this.next());
      else this.drop(buffer);
      this.next();
    });
  }

  /** What is to be written next, from `at` on. */
  private take(): Buffer | undefined {
    if (this.current !== undefined && this.at < this.current.length) return this.current;
    const text = this.chunks.shift();
    this.held -= text?.length ?? 0;
    this.current = text === undefined ? undefined : Buffer.from(text);
    this.at = 0;
    return this.current;
  }

  private drop(buffer: Buffer): void {
    for (let i = buffer.indexOf(NEWLINE, this.at); i !== -1; i = buffer.indexOf(NEWLINE, i + 1))
      this.dropped++;
    this.at = buffer.length;
  }
}

/** What is slept on. */
const CELL = new Int32Array(new SharedArrayBuffer(4));

const SYSTEM: Writing = {
  write: (buffer, start, done) => write(FD, buffer, start, buffer.length - start, null, done),
  writeSync: (buffer, start) => writeSync(FD, buffer, start),
  after: (ms, then) => void setTimeout(then, ms).unref(),
  sleep: (ms) => void Atomics.wait(CELL, 0, 0, ms),
};

let shared: StderrWriter | undefined;

/** The one writer of the process, so that no line begins within another. */
export function standardError(): StderrWriter {
  if (shared !== undefined) return shared;
  const made = new StderrWriter();
  process.on('exit', () => made.flush());
  shared = made;
  return made;
}
