import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt } from '../attempt.js';
import type { Logger } from '../log/logger.js';
import { messageOf } from '../log/message-of.js';
import type { Timer, Timers } from '../time/timers.js';
import { makeDirectory } from './directory.js';

/** A state file is small; what is larger was not written here. */
const MAX_BYTES = 1024 * 1024;
/** After a failure, for example of a full disk. */
const RETRY_MS = 10_000;

/**
 * A small JSON file that outlives the process. It is written beside itself and renamed, so that a reader sees the old one or
 * the new one; of several changes during a write only the last is written. A file that cannot be read, or is not JSON, is
 * said and ignored. What cannot be written is said once, kept, and tried again.
 */
export class StateFile {
  /** The newest value, until it is on the disk. */
  private pending: unknown;
  private writing: Promise<void> | undefined;
  /** Until it fires nothing is written, except by `flush`. */
  private retry: Timer | undefined;
  private problem = '';
  /** Moves with each `flush` and `leave`: a write that is under way then is thrown away. */
  private turn = 0;
  private isLeft = false;

  constructor(
    readonly path: string,
    private readonly logger: Logger,
    private readonly timers: Timers,
  ) {}

  /** What was written last; undefined: nothing that can be used. The caller checks its shape, and says `ignore` otherwise. */
  read(): unknown {
    try {
      const bytes = readFileSync(this.path);
      if (bytes.length > MAX_BYTES) throw new Error(`it has ${bytes.length} bytes`);
      return JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.ignore(messageOf(error));
      return undefined;
    }
  }

  /** Says that what was read is not used. */
  ignore(problem: string): void {
    this.logger.warn({ file: this.path, problem }, 'a state file is ignored');
  }

  /** Keeps `value`, which has to be fit for JSON and must not change afterwards. Returns at once. */
  write(value: unknown): void {
    if (this.isLeft) return;
    this.pending = value;
    this.pump();
  }

  /**
   * Writes what waits before it returns, and leaves the file to another process: nothing is written any more. Resolves when a
   * write that was under way, and is thrown away, is over.
   */
  async leave(): Promise<void> {
    this.flush();
    this.isLeft = true;
    this.pending = undefined;
    this.turn++;
    this.cancelRetry();
    await this.writing;
  }

  /** Writes what waits, or is being written, before it returns. */
  flush(): void {
    const { pending } = this;
    if (pending === undefined) return;
    this.turn++;
    const next = `${this.path}.last`;
    try {
      makeDirectory(dirname(this.path), 0o700);
      writeFileSync(next, textOf(pending), { mode: 0o600 });
      this.replaceBy(next, pending);
    } catch (error) {
      this.failed(error);
      // Where the directory is none, or may not be entered, there is nothing to remove, and `force` fails too.
      attempt(() => rmSync(next, { force: true }), undefined);
    }
  }

  private pump(): void {
    if (this.pending === undefined || this.writing !== undefined || this.retry !== undefined) return;
    this.writing = this.writeNewest().finally(() => {
      this.writing = undefined;
      this.pump();
    });
  }

  /** Never rejects. */
  private async writeNewest(): Promise<void> {
    const next = `${this.path}.next`;
    // The first turn of the event loop gathers the changes of one moment.
    await Promise.resolve();
    const { pending, turn } = this;
    if (pending === undefined || this.retry !== undefined) return;
    try {
      makeDirectory(dirname(this.path), 0o700);
      await writeFile(next, textOf(pending), { mode: 0o600, flush: true });
      if (turn === this.turn) this.replaceBy(next, pending);
      else await rm(next, { force: true });
    } catch (error) {
      if (turn === this.turn) this.failed(error);
      await rm(next, { force: true }).catch(() => {}); // as in `flush`
    }
  }

  /** At once: by the thread pool it could come after that of a later `flush`. */
  private replaceBy(next: string, value: unknown): void {
    renameSync(next, this.path);
    this.problem = '';
    this.cancelRetry();
    if (this.pending === value) this.pending = undefined;
  }

  private failed(error: unknown): void {
    // The message names one of two temporary files.
    const problem = (error as NodeJS.ErrnoException).code ?? messageOf(error);
    if (problem !== this.problem)
      this.logger.warn({ file: this.path, problem: messageOf(error) }, 'a state file cannot be written');
    this.problem = problem;
    const again = (): void => {
      this.retry = undefined;
      this.pump();
    };
    this.retry ??= this.timers.after(RETRY_MS, again, { unref: true });
  }

  private cancelRetry(): void {
    this.retry?.cancel();
    this.retry = undefined;
  }
}

function textOf(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
