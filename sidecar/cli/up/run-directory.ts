import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { attempt } from '../../runtime/attempt.js';
import { makeDirectory } from '../../runtime/process/directory.js';
import { CommandFailure, oneLine } from '../failure.js';

const PREFIX = 'outrider-up-';
const NOTE = 'up.json';
/** A Unix socket's path must fit into 104 bytes (macOS; 108 on Linux), terminator included. */
const LONGEST_SOCKET_PATH = 103;

/** Content of `up.json`: how `outrider status` and `outrider infer` find a running mesh. */
export interface RunNote {
  /** Process id of `up`. */
  readonly pid: number;
  readonly meshFile: string;
  /** `host:port` of every admin server, by instance. */
  readonly admin: Readonly<Record<string, string>>;
  /** `host:port` where the application calls each upstream, by name. */
  readonly call: Readonly<Record<string, string>>;
}

/**
 * The private directory (mode 0700) of one `up`: sockets, certificates, sidecar files and logs. It
 * is removed at the end. A directory whose `up` was killed is removed by the next `up`, so that
 * private keys do not stay on disk.
 */
export class RunDirectory {
  /** Where commands look for the note of a directory that lies elsewhere. */
  private sign: string | undefined;

  private constructor(
    readonly path: string,
    private readonly mayRemove: 'all' | 'contents',
  ) {}

  /**
   * Makes `outrider-up-…` in the system's temporary directory, or uses `asked`, which must be empty
   * or absent.
   *
   * @throws CommandFailure
   */
  static create(asked: string | undefined): RunDirectory {
    removeAbandoned();
    try {
      if (asked === undefined) return new RunDirectory(makeOwn(), 'all');
      makeDirectory(asked, 0o700);
      if (readdirSync(asked).length > 0) throw new CommandFailure(`run directory ${asked} is not empty`);
      chmodSync(asked, 0o700);
      return new RunDirectory(asked, 'contents');
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      throw new CommandFailure(`cannot make the run directory: ${oneLine(error)}`);
    }
  }

  /** Makes a subfolder, mode 0700. */
  folder(name: string): string {
    const folder = join(this.path, name);
    makeDirectory(folder, 0o700);
    return folder;
  }

  /**
   * Path of a Unix socket in `folder`.
   * @throws CommandFailure when the path is too long for a socket.
   */
  socket(folder: string, name: string): string {
    const path = join(folder, name);
    if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
      throw new CommandFailure(
        `the run directory's path is too long for a Unix socket: ${path} (set run_dir or TMPDIR)`,
      );
    return path;
  }

  /**
   * Writes `up.json`, for a directory that was asked for also into one of its own in the temporary
   * directory, where commands look. Where nothing can be made there, they need addresses.
   */
  note(note: RunNote): void {
    writeNote(this.path, note);
    if (this.mayRemove === 'contents') attempt(() => this.putSign(note), undefined);
  }

  /** Anew where the temporary directory has been cleaned, as systems do with what is old: a mesh may run for months. */
  private putSign(note: RunNote): void {
    if (this.sign === undefined || !existsSync(this.sign)) this.sign = makeOwn();
    writeNote(this.sign, note);
  }

  /** Removes everything. Safe to call twice. */
  remove(): void {
    if (this.mayRemove === 'all') rmSync(this.path, { recursive: true, force: true });
    else attempt(() => this.empty(), undefined); // removed already
    if (this.sign !== undefined) rmSync(this.sign, { recursive: true, force: true });
  }

  private empty(): void {
    for (const name of readdirSync(this.path))
      rmSync(join(this.path, name), { recursive: true, force: true });
  }
}

/** The meshes that run on this machine under this user, oldest first. */
export function runningMeshes(): RunNote[] {
  return runDirectories()
    .flatMap((path) => readNote(path) ?? [])
    .filter(({ pid }) => isAlive(pid));
}

function removeAbandoned(): void {
  for (const path of runDirectories()) {
    if (!isAlive(ownerOf(path))) rmSync(path, { recursive: true, force: true });
  }
}

function writeNote(folder: string, note: RunNote): void {
  writeFileSync(join(folder, NOTE), JSON.stringify(note), { mode: 0o600 });
}

/** A directory of this process in the temporary directory. */
function makeOwn(): string {
  return mkdtempSync(join(tmpdir(), `${PREFIX}${pidNamespace()}-${process.pid}-`));
}

/** The process id in the name of a run directory of this PID namespace; NaN for any other name. */
function ownerOf(path: string): number {
  const match = /^outrider-up-([a-z0-9]+)-(\d+)-\w+$/.exec(basename(path));
  return match?.[1] === pidNamespace() ? Number(match[2]) : Number.NaN;
}

/**
 * The PID namespace, in base 36: containers may share a temporary directory without sharing process
 * ids.
 */
function pidNamespace(): string {
  const link = attempt(() => readlinkSync('/proc/self/ns/pid'), undefined);
  return link === undefined ? 'host' : Number(/\d+/.exec(link)?.[0]).toString(36); // `host`: not Linux
}

/**
 * Only directories of this user: in a shared temporary directory, other users can make the same
 * names.
 */
function runDirectories(): string[] {
  const folder = tmpdir();
  return attempt(() => readdirSync(folder), [])
    .filter((name) => ownerOf(name) > 0)
    .map((name) => join(folder, name))
    .filter((path) => attempt(() => isOurs(path), false));
}

function isOurs(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === process.getuid?.();
}

function readNote(path: string): RunNote | undefined {
  const note = attempt(() => JSON.parse(readFileSync(join(path, NOTE), 'utf8')), undefined);
  return Number.isInteger(note?.pid) ? note : undefined;
}

/** EPERM means that the process exists and belongs to another user. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
