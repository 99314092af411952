/**
 * The disks of the simulated machines: what lies below `/sim/MACHINE`. Files have sizes, times and modes. A disk can be full, be slow,
 * and take a part of a write; a machine that loses power loses what was not synced.
 */
import { EventEmitter } from 'node:events';
import { constants } from 'node:fs';
import type { ManualClock } from '../../kit/time/manual-clock.js';
import type { Dice } from '../dice.js';
import type { FaultPlan } from '../plan/plan.js';

const ROOT = '/sim/';

interface Entry {
  readonly ino: number;
  readonly isDirectory: boolean;
  mode: number;
  mtimeMs: number;
  bytes: Buffer;
  /** Bytes that outlive a loss of power. */
  synced: number;
}

/** What is wrong with the disk of a machine. */
interface DiskState {
  isFull: boolean;
  /** Each operation of the thread pool takes so long. */
  slowMs: number;
  /** Writes take any number of the bytes given, one at least. */
  isRagged: boolean;
  /** Operations that were begun before this number never end: their process is dead. */
  epoch: number;
}

/** Of a write to a handle. */
interface Written {
  readonly bytesWritten: number;
}

type WriteOptions = { readonly mode?: number; readonly flag?: string; readonly flush?: boolean } | string;
type Throwing = { readonly throwIfNoEntry?: boolean };

/** As `open` takes them, text or bits. */
interface OpenFlags {
  readonly creates: boolean;
  readonly isExclusive: boolean;
  readonly appends: boolean;
  readonly truncates: boolean;
}

export class SimDisk {
  private readonly entries = new Map<string, Entry>();
  private readonly states = new Map<string, DiskState>();
  private readonly handles = new Map<number, { readonly entry: Entry; readonly path: string; at: number }>();
  private readonly watchers = new Map<string, Set<() => void>>();
  private inodes = 100;
  private descriptors = 1_000_000;

  constructor(
    private readonly clock: ManualClock,
    private readonly dice: Dice,
  ) {}

  static holds(path: unknown): boolean {
    return typeof path === 'string' && `${path}/`.startsWith(ROOT);
  }

  /** The descriptor is one of this disk. */
  owns(fd: unknown): boolean {
    return typeof fd === 'number' && this.handles.has(fd);
  }

  /** A fault of the disk of a machine. */
  begin({ kind, target, amount }: FaultPlan): void {
    const state = this.stateOf(target);
    if (kind === 'disk-full') state.isFull = true;
    else if (kind === 'disk-slow') state.slowMs = amount;
    else state.isRagged = true;
  }

  end({ kind, target }: FaultPlan): void {
    const state = this.stateOf(target);
    if (kind === 'disk-full') state.isFull = false;
    else if (kind === 'disk-slow') state.slowMs = 0;
    else state.isRagged = false;
  }

  /** The disk of the machine that a path is on. */
  stateOf(path: string): DiskState {
    const machine = path.startsWith(ROOT) ? (path.slice(ROOT.length).split('/')[0] ?? '') : path;
    const known = this.states.get(machine);
    if (known !== undefined) return known;
    const fresh = { isFull: false, slowMs: 0, isRagged: false, epoch: 0 };
    this.states.set(machine, fresh);
    return fresh;
  }

  /** What a killed process had begun never ends. */
  killed(machine: string): void {
    this.stateOf(machine).epoch++;
  }

  /** The machine loses power: of what was not synced any part is there. */
  losePower(machine: string): void {
    for (const [path, entry] of this.entries) {
      if (!path.startsWith(`${ROOT}${machine}/`) || entry.isDirectory) continue;
      const kept = this.dice.between(Math.min(entry.synced, entry.bytes.length), entry.bytes.length);
      entry.bytes = entry.bytes.subarray(0, kept);
      entry.synced = kept;
    }
  }

  /** The content of a file as text; empty: there is none. */
  text(path: string): string {
    return this.entries.get(path)?.bytes.toString('utf8') ?? '';
  }

  /** Puts a file there, with its directories: as an operator does. */
  put(path: string, text: string): void {
    const state = this.stateOf(path);
    const { isFull } = state;
    // An operator makes room first.
    state.isFull = false;
    this.mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
    state.isFull = isFull;
    const entry = this.create(path, 0o644);
    entry.bytes = Buffer.from(text);
    entry.synced = entry.bytes.length;
  }

  /** Tells of what is new in a directory. */
  watch(path: string, _options: unknown, listener: () => void): EventEmitter & { close(): void } {
    const all = this.watchers.get(path) ?? new Set();
    this.watchers.set(path, all.add(listener));
    return Object.assign(new EventEmitter(), { close: () => void all.delete(listener) });
  }

  private changed(path: string): void {
    const parent = path.slice(0, path.lastIndexOf('/'));
    for (const listener of this.watchers.get(parent) ?? []) this.clock.after(1, listener);
  }

  // ---- as node:fs has them ----

  readFileSync(path: string | number, options?: string | { readonly encoding?: string }): Buffer | string {
    const { bytes } = typeof path === 'number' ? this.handle(path).entry : this.file(path);
    const encoding = typeof options === 'string' ? options : options?.encoding;
    return encoding === undefined ? Buffer.from(bytes) : bytes.toString(encoding as BufferEncoding);
  }

  writeFileSync(path: string | number, content: string | Uint8Array, options: WriteOptions = {}): void {
    const { mode = 0o666, flag = 'w' } = typeof options === 'string' ? {} : options;
    const fd = typeof path === 'number' ? path : this.openSync(path, flag, mode);
    try {
      const bytes = Buffer.from(content as string);
      for (let at = 0; at < bytes.length; ) at += this.writeSome(fd, bytes.subarray(at));
      if (typeof options !== 'string' && options.flush === true) this.fsyncSync(fd);
    } finally {
      if (typeof path !== 'number') this.closeSync(fd);
    }
  }

  renameSync(from: string, to: string): void {
    const entry = this.any(from);
    this.parent(to);
    this.entries.delete(from);
    this.entries.set(to, entry);
  }

  linkSync(from: string, to: string): void {
    const entry = this.file(from);
    if (this.entries.has(to)) throw failure('EEXIST', 'link', to);
    this.parent(to);
    this.entries.set(to, entry);
  }

  unlinkSync(path: string): void {
    this.file(path);
    this.entries.delete(path);
  }

  rmSync(path: string, { force = false }: { readonly force?: boolean } = {}): void {
    if (!this.entries.has(path) && !force) throw failure('ENOENT', 'rm', path);
    for (const key of [...this.entries.keys()])
      if (key === path || key.startsWith(`${path}/`)) this.entries.delete(key);
  }

  mkdirSync(path: string, options: { readonly mode?: number; readonly recursive?: boolean } = {}): void {
    const known = this.entries.get(path);
    if (known !== undefined && (options.recursive !== true || !known.isDirectory))
      throw failure('EEXIST', 'mkdir', path);
    if (known !== undefined) return;
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (options.recursive === true && `${parent}/` !== ROOT) this.mkdirSync(parent, options);
    else this.parent(path);
    if (this.stateOf(path).isFull) throw failure('ENOSPC', 'mkdir', path);
    this.entries.set(path, this.entry(true, options.mode ?? 0o777));
    this.changed(path);
  }

  readdirSync(path: string, options: { readonly withFileTypes?: boolean } = {}): unknown[] {
    const directory = this.entries.get(path);
    if (directory === undefined) throw failure('ENOENT', 'scandir', path);
    if (!directory.isDirectory) throw failure('ENOTDIR', 'scandir', path);
    const found = [...this.entries]
      .filter(([key]) => key.startsWith(`${path}/`) && !key.slice(path.length + 1).includes('/'))
      .map(([key, entry]) => ({ name: key.slice(path.length + 1), ...kindOf(entry) }));
    return options.withFileTypes === true ? found : found.map(({ name }) => name);
  }

  statSync(path: string, { throwIfNoEntry = true }: Throwing = {}): object | undefined {
    const entry = this.entries.get(path);
    if (entry !== undefined) return statOf(entry);
    // A root and the machines below it are always there.
    if (`${path}/` === ROOT) return statOf({ ...this.entry(true, 0o755) });
    if (throwIfNoEntry) throw failure('ENOENT', 'stat', path);
    return undefined;
  }

  existsSync(path: string): boolean {
    return this.entries.has(path);
  }

  openSync(path: string, flags: string | number = 'r', mode = 0o666): number {
    const { creates, isExclusive, appends, truncates } = flagsOf(flags);
    let entry = this.entries.get(path);
    if (entry !== undefined && isExclusive) throw failure('EEXIST', 'open', path);
    if (entry === undefined) {
      if (!creates) throw failure('ENOENT', 'open', path);
      if (this.stateOf(path).isFull) throw failure('ENOSPC', 'open', path);
      entry = this.create(path, mode);
    }
    if (entry.isDirectory) throw failure('EISDIR', 'open', path);
    if (truncates) this.cut(entry, 0);
    const fd = ++this.descriptors;
    this.handles.set(fd, { entry, path, at: appends ? Number.POSITIVE_INFINITY : 0 });
    return fd;
  }

  closeSync(fd: number): void {
    this.handles.delete(fd);
  }

  fstatSync(fd: number): object {
    return statOf(this.handle(fd).entry);
  }

  ftruncateSync(fd: number, size = 0): void {
    this.cut(this.handle(fd).entry, size);
  }

  readSync(fd: number, into: Buffer, offset: number, length: number, from: number): number {
    return this.handle(fd).entry.bytes.copy(into, offset, from, from + length);
  }

  fsyncSync(fd: number): void {
    const { entry } = this.handle(fd);
    entry.synced = entry.bytes.length;
  }

  // ---- as node:fs/promises has them ----

  readonly promises = {
    readFile: (path: string, options?: string) => this.slowly(path, () => this.readFileSync(path, options)),
    writeFile: (path: string, content: string | Uint8Array, options: WriteOptions = {}) =>
      this.slowly(path, () => this.writeFileSync(path, content, options)),
    rename: (from: string, to: string) => this.slowly(from, () => this.renameSync(from, to)),
    rm: (path: string, options: { readonly force?: boolean } = {}) =>
      this.slowly(path, () => this.rmSync(path, options)),
    stat: (path: string) => this.slowly(path, () => this.statSync(path)),
    mkdir: (path: string, options: { readonly recursive?: boolean } = {}) =>
      this.slowly(path, () => this.mkdirSync(path, options)),
    open: (path: string, flags: string | number, mode?: number) =>
      this.slowly(path, () => this.fileHandle(path, this.openSync(path, flags, mode))),
  };

  private fileHandle(path: string, fd: number): object {
    const slowly = <T>(work: () => T): Promise<T> => this.slowly(path, work);
    return {
      fd,
      stat: () => slowly(() => this.fstatSync(fd)),
      read: (into: Buffer, offset: number, length: number, from: number) =>
        slowly(() => ({ bytesRead: this.readSync(fd, into, offset, length, from), buffer: into })),
      write: (bytes: Buffer, at = 0) =>
        slowly((): Written => ({ bytesWritten: this.writeSome(fd, bytes.subarray(at)) })),
      writeFile: (content: string | Uint8Array) => slowly(() => this.writeFileSync(fd, content)),
      truncate: (size = 0) => slowly(() => this.ftruncateSync(fd, size)),
      datasync: () => slowly(() => this.fsyncSync(fd)),
      sync: () => slowly(() => this.fsyncSync(fd)),
      close: () => slowly(() => this.closeSync(fd)),
    };
  }

  /** By the thread pool: later, where the disk is slow; never, where the process is dead by then. */
  private slowly<T>(path: string, work: () => T): Promise<T> {
    const state = this.stateOf(path);
    const { epoch, slowMs } = state;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        if (state.epoch !== epoch) return;
        try {
          resolve(work());
        } catch (error) {
          reject(error as Error);
        }
      };
      if (slowMs > 0) this.clock.after(slowMs * (0.5 + this.dice.next()), done);
      else done();
    });
  }

  // ---- entries ----

  private writeSome(fd: number, bytes: Buffer): number {
    const handle = this.handle(fd);
    const { entry, path } = handle;
    const state = this.stateOf(path);
    const most = state.isRagged && bytes.length > 1 ? this.dice.logBetween(1, bytes.length) : bytes.length;
    if (state.isFull) throw failure('ENOSPC', 'write', path);
    const at = Math.min(handle.at, entry.bytes.length);
    entry.bytes = Buffer.concat([
      entry.bytes.subarray(0, at),
      bytes.subarray(0, most),
      entry.bytes.subarray(at + most),
    ]);
    entry.synced = Math.min(entry.synced, at);
    entry.mtimeMs = this.clock.wallNow();
    if (Number.isFinite(handle.at)) handle.at += most;
    return most;
  }

  private cut(entry: Entry, size: number): void {
    entry.bytes = entry.bytes.subarray(0, size);
    entry.synced = Math.min(entry.synced, size);
    entry.mtimeMs = this.clock.wallNow();
  }

  private create(path: string, mode: number): Entry {
    this.parent(path);
    const entry = this.entry(false, mode);
    this.entries.set(path, entry);
    this.changed(path);
    return entry;
  }

  private entry(isDirectory: boolean, mode: number): Entry {
    const mtimeMs = this.clock.wallNow();
    return {
      ino: ++this.inodes,
      isDirectory,
      mode: mode & ~0o022,
      mtimeMs,
      bytes: Buffer.alloc(0),
      synced: 0,
    };
  }

  private any(path: string): Entry {
    const entry = this.entries.get(path);
    if (entry === undefined) throw failure('ENOENT', 'open', path);
    return entry;
  }

  private file(path: string): Entry {
    const entry = this.any(path);
    if (entry.isDirectory) throw failure('EISDIR', 'read', path);
    return entry;
  }

  private handle(fd: number) {
    const handle = this.handles.get(fd);
    if (handle === undefined) throw failure('EBADF', 'write', `${fd}`);
    return handle;
  }

  private parent(path: string): void {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (`${parent}/` === ROOT || this.entries.get(parent)?.isDirectory === true) return;
    throw failure('ENOENT', 'open', path);
  }
}

function flagsOf(flags: string | number): OpenFlags {
  if (typeof flags === 'string')
    return {
      creates: !flags.startsWith('r'),
      isExclusive: flags.includes('x'),
      appends: flags.startsWith('a'),
      truncates: flags.startsWith('w'),
    };
  const has = (bit: number): boolean => (flags & bit) !== 0;
  return {
    creates: has(constants.O_CREAT),
    isExclusive: has(constants.O_EXCL),
    appends: has(constants.O_APPEND),
    truncates: has(constants.O_TRUNC),
  };
}

function failure(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path });
}

function kindOf({ isDirectory }: Entry) {
  return { isDirectory: () => isDirectory, isFile: () => !isDirectory, isSymbolicLink: () => false };
}

function statOf(entry: Entry): object {
  const { ino, mode, mtimeMs, bytes } = entry;
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, dev: 1 };
  return { ...kindOf(entry), ...own, ino, mode, mtimeMs, size: bytes.length };
}
