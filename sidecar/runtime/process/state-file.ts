import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt } from '../attempt.js';
import type { Logger } from '../log/logger.js';
import { messageOf } from '../log/message-of.js';
import { makeDirectory } from './directory.js';

/** A state file is small; what is larger was not written here. */
const MAX_BYTES = 1024 * 1024;

/**
 * A small JSON file that outlives the process. It is written beside itself and renamed, so that a reader sees the old one or
 * the new one; of several changes during a write only the last is written. A file that cannot be read, or is not JSON, is
 * said and ignored, and one that cannot be written is said once.
 */
export class StateFile {
  private pending: unknown;
  private writing: Promise<void> | undefined;
  private problem = '';
  /** Of the newest value that is being written. */
  private turn = 0;
  private isLeft = false;

  constructor(
    readonly path: string,
    private readonly logger: Logger,
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
    this.writing ??= this.writeAll().finally(() => {
      this.writing = undefined;
    });
  }

  /**
   * Writes what waits before it returns, and leaves the file to another process: nothing is written any more. Resolves when a
   * write that was under way, and is thrown away, is over.
   */
  async leave(): Promise<void> {
    this.flush();
    this.isLeft = true;
    this.turn++;
    await this.writing;
  }

  /** Writes what waits before it returns. */
  flush(): void {
    const { pending } = this;
    if (pending === undefined) return;
    this.pending = undefined;
    this.turn++;
    const next = `${this.path}.last`;
    try {
      makeDirectory(dirname(this.path), 0o700);
      writeFileSync(next, textOf(pending), { mode: 0o600 });
      renameSync(next, this.path);
    } catch (error) {
      this.warn(error);
      // Where the directory is none, or may not be entered, there is nothing to remove, and `force` fails too.
      attempt(() => rmSync(next, { force: true }), undefined);
    }
  }

  private async writeAll(): Promise<void> {
    const next = `${this.path}.next`;
    // The first turn of the event loop gathers the changes of one moment.
    await Promise.resolve();
    while (this.pending !== undefined) {
      const { pending } = this;
      this.pending = undefined;
      const turn = ++this.turn;
      try {
        makeDirectory(dirname(this.path), 0o700);
        await writeFile(next, textOf(pending), { mode: 0o600, flush: true });
        // Where `flush` or `leave` has been called meanwhile, the file has something newer.
        await (turn === this.turn ? rename(next, this.path) : rm(next, { force: true }));
        this.problem = '';
      } catch (error) {
        this.warn(error);
        await rm(next, { force: true }).catch(() => {}); // as in `flush`
      }
    }
  }

  private warn(error: unknown): void {
    const problem = messageOf(error);
    if (problem !== this.problem)
      this.logger.warn({ file: this.path, problem }, 'a state file cannot be written');
    this.problem = problem;
  }
}

function textOf(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
