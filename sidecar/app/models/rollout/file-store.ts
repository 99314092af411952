import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../../runtime/attempt.js';
import type { TimeDeps } from '../../../runtime/deps.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import { makeDirectory } from '../../../runtime/process/directory.js';
import { LockFile, LockHeldError } from '../../../runtime/process/lock-file.js';
import type { Timer } from '../../../runtime/time/timers.js';
import type { RolloutStore, Stored } from './store.js';

/** A replica that has said nothing for this long is not alive, ms; each says something twice a second. */
const ALIVE_MS = 10_000;
const FACTS = '.facts.json';

interface SeenFile {
  readonly mtimeMs: number;
  /** Since when it is so, monotonic ms. */
  readonly sinceMs: number;
}

/**
 * A store for replicas that share a directory: `up` gives each service one. A lock is that of a process, and is gone with it;
 * that of a process in another container once it has not been refreshed for a while.
 */
export class FileStore implements RolloutStore {
  private readonly record: string;
  private readonly writing: LockFile;
  private readonly leading: LockFile;
  private readonly name: LockFile;
  /** The locks that this process has: what refreshes them. */
  private readonly held = new Map<LockFile, Timer>();
  private hasAnnounced = false;
  /** What replicas say, by its file: as it was last seen. */
  private seen = new Map<string, SeenFile>();

  constructor(
    private readonly directory: string,
    private readonly instance: string,
    private readonly time: Pick<TimeDeps, 'clock' | 'timers'>,
    /** A process before this one has the name until it has handed over. */
    private readonly mayShareName: () => boolean = () => false,
  ) {
    this.name = new LockFile(join(directory, `${encodeURIComponent(instance)}.name.lock`));
    this.record = join(directory, 'rollout.json');
    this.writing = new LockFile(join(directory, 'rollout.lock'));
    this.leading = new LockFile(join(directory, 'leader.lock'));
  }

  get where(): string {
    return this.directory;
  }

  async read(): Promise<Stored | undefined> {
    return this.readNow();
  }

  async write(value: unknown, index: string | undefined, as: 'leader' | 'command'): Promise<boolean> {
    if (as === 'leader' && !(await this.lead())) return false;
    makeDirectory(this.directory, 0o700);
    if (!takeLock(this.writing)) return false;
    try {
      const stored = this.readNow();
      if (stored?.index !== index) return false;
      const next = `${this.record}.next`;
      writeFileSync(next, JSON.stringify({ index: Number(index ?? 0) + 1, value }), { mode: 0o600 });
      renameSync(next, this.record);
      return true;
    } finally {
      this.writing.release();
    }
  }

  /** The directory is of one machine, on which two meshes, or two sidecars of one file, may have the same name by mistake. */
  async claim(): Promise<void> {
    makeDirectory(this.directory, 0o700);
    if (this.has(this.name) || this.mayShareName()) return;
    throw new Error(
      `another process has the instance name ${this.instance} in ${this.directory} too; give it another \`state_dir\`, or another \`instance\``,
    );
  }

  async lead(): Promise<boolean> {
    makeDirectory(this.directory, 0o700);
    return this.has(this.leading);
  }

  async resign(): Promise<void> {
    this.letGo(this.leading);
  }

  async take(lock: string): Promise<boolean> {
    makeDirectory(this.directory, 0o700);
    const path = join(this.directory, `${lock}.lock`);
    return this.has(this.heldAt(path) ?? new LockFile(path));
  }

  async give(lock: string): Promise<void> {
    const file = this.heldAt(join(this.directory, `${lock}.lock`));
    if (file !== undefined) this.letGo(file);
  }

  private heldAt(path: string): LockFile | undefined {
    return [...this.held.keys()].find((each) => each.path === path);
  }

  /** Whether this process has the lock, or gets it now. From then on it is kept, until another process has it all the same. */
  private has(lock: LockFile): boolean {
    if (this.held.has(lock)) return true;
    if (!takeLock(lock)) return false;
    this.held.set(
      lock,
      lock.keep(this.time.timers, () => this.held.delete(lock)),
    );
    return true;
  }

  private letGo(lock: LockFile): void {
    const timer = this.held.get(lock);
    this.held.delete(lock);
    timer?.cancel();
    if (timer !== undefined) lock.release();
  }

  async announce(facts: unknown): Promise<void> {
    makeDirectory(this.directory, 0o700);
    const path = join(this.directory, `${encodeURIComponent(this.instance)}${FACTS}`);
    writeFileSync(`${path}.next`, JSON.stringify(facts), { mode: 0o600 });
    renameSync(`${path}.next`, path);
    this.hasAnnounced = true;
  }

  async received(): Promise<readonly unknown[]> {
    const before = this.seen;
    this.seen = new Map();
    return readdirSync(this.directory)
      .filter((name) => name.endsWith(FACTS))
      .map((name) => join(this.directory, name))
      .filter((path) => this.isFresh(path, before.get(path)))
      .map((path) => attempt(() => parsed(path), undefined));
  }

  /**
   * Whether the file has been written of late. From the second look at it on this is told by its changes alone, as the clock of the machine
   * may be set meanwhile. At the first look a time in the future says nothing, and the next ten seconds show.
   * @param before as it was at the look before; undefined: this is the first
   */
  private isFresh(path: string, before: SeenFile | undefined): boolean {
    const mtimeMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (mtimeMs === undefined) return false;
    const now = this.time.clock.now();
    let sinceMs = now;
    if (before?.mtimeMs === mtimeMs) sinceMs = before.sinceMs;
    else if (before === undefined && this.time.clock.wallNow() - mtimeMs >= ALIVE_MS) sinceMs = -Infinity;
    this.seen.set(path, { mtimeMs, sinceMs });
    return now - sinceMs < ALIVE_MS;
  }

  async close(): Promise<void> {
    for (const lock of [...this.held.keys()]) this.letGo(lock);
    // What another process of this name says is its own.
    if (this.hasAnnounced)
      rmSync(join(this.directory, `${encodeURIComponent(this.instance)}${FACTS}`), { force: true });
  }

  private readNow(): Stored | undefined {
    const found = parsed(this.record) as { index?: unknown; value?: unknown } | undefined;
    return found === undefined ? undefined : { value: found.value, index: String(found.index) };
  }
}

/**
 * False: another process has it.
 * @throws Error where the file system refuses it, such as for want of rights or room: no process may ever get it.
 */
function takeLock(lock: LockFile): boolean {
  try {
    lock.acquire();
    return true;
  } catch (error) {
    if (error instanceof LockHeldError) return false;
    throw new Error(`the lock ${lock.path} cannot be taken: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Undefined: there is no such file, or it holds no JSON.
 * @throws of the file system, where it cannot be told whether there is one: it must not be replaced then.
 */
function parsed(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) ?? undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
