import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { attempt } from '../../runtime/attempt.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { makeDirectory } from '../../runtime/process/directory.js';
import { isGone, ownStamp } from '../../runtime/process/owned-processes.js';
import { CommandFailure, oneLine } from '../failure.js';

const PREFIX = 'outrider-up-';
const NOTE = 'up.json';
/** In a directory that was asked for: which process it is of, as `ownStamp` says it. */
const OWNER = 'up.owner';
/** A Unix socket's path must fit into 104 bytes (macOS; 108 on Linux), terminator included. */
const LONGEST_SOCKET_PATH = 103;
/** What is appended for one of several processes, the watcher of it, and a successor: `.32.9.w`. */
const LONGEST_SUFFIX = 8;
const KEPT_PREFIX = 'outrider-failed-';
const MOST_KEPT = 5;

/** Content of `up.json`: how `outrider status` and `outrider infer` find a running mesh. */
export interface RunNote {
  /** Process id of `up`. */
  readonly pid: number;
  readonly meshFile: string;
  /** Where `up` was started; absent: by a version that did not note it. */
  readonly cwd?: string;
  /** `host:port` of every admin server, by instance. */
  readonly admin: Readonly<Record<string, string>>;
  /** `host:port` where the application calls each upstream, by name. */
  readonly call: Readonly<Record<string, string>>;
  /** Log file of every sidecar and its models, by instance; absent: `up` is of a version that did not note it. */
  readonly logs?: Readonly<Record<string, string>>;
}

/**
 * The private directory (mode 0700) of one `up`: sockets, certificates, sidecar files and logs. It
 * is removed at the end. A directory whose `up` was killed is removed by the next `up`, so that
 * private keys do not stay on disk.
 */
export class RunDirectory {
  /** Where commands look for the note of a directory that lies elsewhere. */
  private sign: string | undefined;
  /** For sockets whose path here would be too long. */
  private short: string | undefined;
  /** Paths in `short`, by those that were too long: a plan that is made again has the same. */
  private readonly shortened = new Map<string, string>();
  /** For logs of what failed. It stays. */
  private kept: string | undefined;

  private constructor(
    readonly path: string,
    private readonly mayRemove: 'all' | 'contents',
  ) {}

  /**
   * Makes `outrider-up-…` in the system's temporary directory, or uses `asked`, which must be empty
   * or absent, or left by an `up` that was killed.
   *
   * @throws CommandFailure
   */
  static create(asked: string | undefined): RunDirectory {
    removeAbandoned();
    try {
      if (asked === undefined) return new RunDirectory(makeOwn(), 'all');
      makeDirectory(asked, 0o700);
      const run = new RunDirectory(asked, 'contents');
      if (isAbandoned(asked)) run.empty();
      if (readdirSync(asked).length > 0) throw new CommandFailure(`run directory ${asked} is not empty`);
      chmodSync(asked, 0o700);
      writeFileSync(join(asked, OWNER), [machineId(), ownStamp()].join('\n'), { mode: 0o600 });
      return run;
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
   * Path of a Unix socket in `folder`; where it would be too long, in a short private directory.
   * @throws CommandFailure when there is no place for a short one.
   */
  socket(folder: string, name: string): string {
    const path = join(folder, name);
    if (fits(path)) return path;
    this.short ??= makeShort();
    if (this.short === undefined)
      throw new CommandFailure(
        `the run directory's path is too long for a Unix socket: ${path} (set run_dir or TMPDIR)`,
      );
    const { short, shortened } = this;
    return getOrInsert(shortened, path, () => join(short, `${shortened.size + 1}.sock`));
  }

  /** Copies a file into a directory in the temporary directory that stays; its path there. Undefined: that is not possible. */
  keep(name: string, file: string): string | undefined {
    try {
      if (this.kept === undefined) removeOldest(MOST_KEPT - 1);
      this.kept ??= mkdtempSync(join(tmpdir(), KEPT_PREFIX));
      const path = join(this.kept, name);
      copyFileSync(file, path);
      return path;
    } catch {
      return undefined;
    }
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
    for (const path of [this.sign, this.short])
      if (path !== undefined) rmSync(path, { recursive: true, force: true });
  }

  /** What says whose it is goes last: it may be cut short. */
  private empty(): void {
    const names = readdirSync(this.path).filter((name) => name !== OWNER);
    for (const name of [...names, OWNER]) rmSync(join(this.path, name), { recursive: true, force: true });
  }
}

/** The meshes that run on this machine under this user, oldest first. */
export function runningMeshes(): RunNote[] {
  return runDirectories(tmpdir())
    .flatMap((path) => readNote(path) ?? [])
    .filter(({ pid }) => isAlive(pid));
}

function removeAbandoned(): void {
  for (const path of [...new Set([tmpdir(), ...shortPlaces()])].flatMap(runDirectories)) {
    if (!isAlive(ownerOf(path))) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * Whether an `up` that has ended has left the directory as it was, as after SIGKILL or a power cut: it would have emptied it. Of a process in
 * another container or on another machine, with which the directory may be shared, nothing is known.
 */
function isAbandoned(directory: string): boolean {
  const file = join(directory, OWNER);
  const isOwn = isOurs(directory) && lstatSync(file, { throwIfNoEntry: false })?.uid === process.getuid?.();
  if (!isOwn) return false;
  const [machine = '', stamp = ''] = attempt(() => readFileSync(file, 'utf8'), '').split('\n');
  return isGone(stamp) || (machine !== '' && machine === machineId() && isOfEarlierBoot(stamp));
}

/** Outside of containers, whose images may give many machines one id. */
function isOfEarlierBoot(stamp: string): boolean {
  const [ours, theirs] = [ownStamp() ?? '', stamp].map((each) => each.split('/'));
  return [ours, theirs].every((each) => each?.[1] === INITIAL_PID_NAMESPACE) && ours?.[0] !== theirs?.[0];
}

/** Of Linux (PROC_PID_INIT_INO of include/linux/proc_ns.h). */
const INITIAL_PID_NAMESPACE = '4026531836';

function machineId(): string {
  return attempt(() => readFileSync('/etc/machine-id', 'utf8'), '').trim();
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) + LONGEST_SUFFIX <= LONGEST_SOCKET_PATH;
}

/** Private directories whose paths are short: of this user alone, or of all with the sticky bit. */
function shortPlaces(): string[] {
  return [process.env['XDG_RUNTIME_DIR'] ?? '', '/tmp', tmpdir()].filter((path) => path.startsWith('/'));
}

function makeShort(): string | undefined {
  for (const place of shortPlaces()) {
    const made = attempt(() => makeOwn(place), undefined);
    if (made === undefined) continue;
    if (fits(join(made, '99999.sock'))) return made;
    rmSync(made, { recursive: true, force: true });
  }
  return undefined;
}

/** Of the directories with kept logs, all but the newest `most`. */
function removeOldest(most: number): void {
  const folder = tmpdir();
  const kept = readdirSync(folder)
    .filter((name) => name.startsWith(KEPT_PREFIX))
    .map((name) => join(folder, name))
    .filter((path) => attempt(() => isOurs(path), false))
    .map((path) => ({ path, madeMs: statSync(path).mtimeMs }))
    .sort((one, other) => other.madeMs - one.madeMs);
  for (const { path } of kept.slice(most)) rmSync(path, { recursive: true, force: true });
}

/** As a whole: a reader sees the note before or the new one, and a full disk leaves the one before. */
function writeNote(folder: string, note: RunNote): void {
  const next = join(folder, `${NOTE}.next`);
  writeFileSync(next, JSON.stringify(note), { mode: 0o600 });
  renameSync(next, join(folder, NOTE));
}

/** A directory of this process in the temporary directory, or in another place. */
function makeOwn(place = tmpdir()): string {
  return mkdtempSync(join(place, `${PREFIX}${pidNamespace()}-${process.pid}-`));
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
function runDirectories(folder: string): string[] {
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
