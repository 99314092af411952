import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { TimeDeps } from '../deps.js';
import type { Timer } from '../time/timers.js';
import { type LineDestination, type Logger, LogThrottle } from './logger.js';

/** Characters held for a disk that is slow. */
const MAX_HELD = 1024 * 1024;
/** Written at once; less waits for more, up to `GATHER_MS`. */
const CHUNK = 64 * 1024;
const GATHER_MS = 100;
/** After a failure nothing is tried for this long, and lines are dropped. */
const REST_MS = 1_000;
/** A pipe whose reader is slow is tried again after this. */
const BUSY_MS = 50;
/** How often it is looked whether the path still leads to the open file. */
const MOVED_MS = 2_000;
/** Who waits for what is held waits no longer: the end of a drain, and of the process. */
const FLUSH_MS = 1_000;
/** Problems are named once per this, however often they come and go. */
const NAMED_MS = 60_000;
const NEWLINE = 10;

/** The operating system, as far as it is needed here. */
export interface LogFileSystem {
  /** For adding at the end; made when it is not there. Must not wait for the reader of a pipe. */
  open(path: string): Promise<OpenLogFile>;
  /** What distinguishes the file at `path` from every other. */
  identityOf(path: string): Promise<string>;
}

export interface OpenLogFile {
  readonly identity: string;
  /** It ends in the middle of a line: of a process that was killed, or that a slow disk kept too long. */
  readonly isTorn: boolean;
  /** Resolves with the bytes written, at least one. */
  write(buffer: Buffer, start: number): Promise<number>;
  close(): Promise<void>;
}

/** What a log file is made with. */
export interface LogFileOptions extends TimeDeps {
  readonly logger: Logger;
  readonly system?: LogFileSystem;
}

interface Chunk {
  text: string;
  lines: number;
}

/**
 * A file that lines are added to without holding up the process: what it holds is bounded (1 MiB), and what it cannot
 * write is dropped and counted. A full disk, a directory that is gone, or a pipe without a reader costs lines, never
 * calls. The file is opened anew when it was moved away, and after every failure. Why not sonic-boom: decision 52.
 */
export class LogFile implements LineDestination {
  /** Lines since the start. */
  written = 0;
  dropped = 0;
  private held = 0;
  private chunks: Chunk[] = [];
  private file: OpenLogFile | undefined;
  /** The end of a line whose begin is already in the file of this identity. */
  private torn: { readonly rest: Buffer; readonly of: string } | undefined;
  private isPumping: Promise<void> | undefined;
  private isAfterTorn = false;
  private isPaused = false;
  private isFailing = false;
  private isMoved = false;
  private isClosed = false;
  private checkedMs: number;
  private timer: Timer | undefined;
  private readonly system: LogFileSystem;
  private readonly throttle: LogThrottle;

  constructor(
    readonly path: string,
    private readonly options: LogFileOptions,
  ) {
    this.system = options.system ?? SYSTEM;
    this.checkedMs = options.clock.now();
    this.throttle = new LogThrottle(options.clock, NAMED_MS);
  }

  /** Takes one line with its newline. Returns at once. */
  write(line: string): void {
    if (this.isPaused || this.isClosed || this.held + line.length > MAX_HELD) {
      this.dropped++;
      return;
    }
    this.held += line.length;
    const last = this.chunks.at(-1);
    if (last === undefined || last.text.length + line.length > CHUNK) {
      this.chunks.push({ text: line, lines: 1 });
    } else {
      last.text += line;
      last.lines++;
    }
    if (this.held >= CHUNK) this.pump();
    else this.timer ??= this.later(GATHER_MS);
  }

  /** The file was moved away: the next line goes into a new one. */
  reopen(): void {
    this.isMoved = true;
  }

  /** Writes what is held, for 1 s at most; nothing after a failure, as then the file rests. */
  async flush(): Promise<void> {
    let limit: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      limit = this.options.timers.after(FLUSH_MS, resolve);
    });
    if (!this.isPaused) this.pump();
    await Promise.race([this.isPumping ?? Promise.resolve(), late]);
    limit?.cancel();
  }

  /** Writes what is held, for 1 s at most, and closes the file. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.flush();
    this.timer?.cancel();
    for (const { lines } of this.chunks.splice(0)) this.dropped += lines;
    if (this.torn !== undefined) this.dropped++;
    void this.closeFile();
  }

  private later(ms: number): Timer {
    const onTime = (): void => {
      this.timer = undefined;
      this.isPaused = false;
      this.pump();
    };
    return this.options.timers.after(ms, onTime, { unref: true });
  }

  // ---- writing ----

  private pump(): void {
    if (this.isPumping !== undefined || this.chunks.length === 0) return;
    this.isPumping = this.writeAll().then(() => {
      this.isPumping = undefined;
      // What came when it was just done.
      if (this.chunks.length > 0 && !this.isClosed) this.timer ??= this.later(GATHER_MS);
    });
  }

  /** Never rejects. */
  private async writeAll(): Promise<void> {
    try {
      while (this.chunks.length > 0) {
        await this.followRotation();
        await this.writeNext(this.file ?? (await this.open()));
      }
    } catch (error) {
      await this.fail(error as Error);
    }
  }

  private async writeNext(file: OpenLogFile): Promise<void> {
    const { text, lines } = this.chunks.shift()!;
    this.held -= text.length;
    const torn = this.takeTorn(file);
    // A line that another process has left unfinished costs no other one.
    const body = Buffer.from(torn === undefined && this.isAfterTorn ? `\n${text}` : text);
    this.isAfterTorn = false;
    const buffer = torn === undefined ? body : Buffer.concat([torn, body]);
    const all = torn === undefined ? lines : lines + 1;
    let at = 0;
    try {
      while (at < buffer.length) at += await this.writeSome(file, buffer, at);
    } catch (error) {
      const isInLine = at === 0 ? torn !== undefined : buffer[at - 1] !== NEWLINE;
      const end = isInLine ? buffer.indexOf(NEWLINE, at) + 1 : at;
      if (isInLine) this.torn = { rest: buffer.subarray(at, end), of: file.identity };
      const lost = countLines(buffer, end);
      this.dropped += lost;
      this.written += all - lost - (isInLine ? 1 : 0);
      throw error;
    }
    this.written += all;
    this.recovered();
  }

  /** In another file its begin is missing. */
  private takeTorn(file: OpenLogFile): Buffer | undefined {
    const { torn } = this;
    this.torn = undefined;
    if (torn === undefined || torn.of === file.identity) return torn?.rest;
    this.dropped++;
    return undefined;
  }

  private async writeSome(file: OpenLogFile, buffer: Buffer, at: number): Promise<number> {
    try {
      return await file.write(buffer, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || this.isClosed) throw error;
      await new Promise<void>((resolve) => {
        this.options.timers.after(BUSY_MS, resolve, { unref: true });
      });
      return 0;
    }
  }

  // ---- which file ----

  /** Closes the file when its path leads to another one. */
  private async followRotation(): Promise<void> {
    const now = this.options.clock.now();
    const { file, isMoved } = this;
    this.isMoved = false;
    if (file === undefined || (!isMoved && now - this.checkedMs < MOVED_MS)) return;
    this.checkedMs = now;
    if (isMoved || (await this.system.identityOf(this.path).catch(() => '')) !== file.identity)
      await this.closeFile();
  }

  private async open(): Promise<OpenLogFile> {
    const file = await this.system.open(this.path);
    this.isAfterTorn = file.isTorn;
    this.file = file;
    return file;
  }

  private async closeFile(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close().catch(() => {});
  }

  // ---- failures ----

  private async fail(error: Error): Promise<void> {
    this.isFailing = true;
    this.isPaused = true;
    this.timer?.cancel();
    this.timer = this.isClosed ? undefined : this.later(REST_MS);
    await this.closeFile();
    if (this.throttle.pass('failing') < 0) return;
    const { path, dropped } = this;
    this.options.logger.warn(
      { path, problem: error.message, dropped },
      'lines of the access log are dropped; calls go on',
    );
  }

  private recovered(): void {
    if (!this.isFailing) return;
    this.isFailing = false;
    if (this.throttle.pass('well') < 0) return;
    const { path, dropped } = this;
    this.options.logger.info({ path, dropped }, 'the access log is written again');
  }
}

/** Newlines from an offset on. */
function countLines(buffer: Buffer, from: number): number {
  let lines = 0;
  for (let end = buffer.indexOf(NEWLINE, from); end !== -1; end = buffer.indexOf(NEWLINE, end + 1)) lines++;
  return lines;
}

async function lastByteOf(path: string, size: number): Promise<number> {
  const handle = await open(path, 'r');
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer[0]!;
  } finally {
    await handle.close();
  }
}

/** Opening must not wait for the reader of a pipe: without one it fails with ENXIO. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

const SYSTEM: LogFileSystem = {
  async open(path) {
    const handle = await open(path, FLAGS, 0o640);
    try {
      const stats = await handle.stat();
      return {
        identity: `${stats.dev}:${stats.ino}`,
        isTorn: stats.isFile() && stats.size > 0 && (await lastByteOf(path, stats.size)) !== NEWLINE,
        write: async (buffer, start) => (await handle.write(buffer, start)).bytesWritten,
        close: () => handle.close(),
      };
    } catch (error) {
      await handle.close();
      throw error;
    }
  },
  async identityOf(path) {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  },
};
