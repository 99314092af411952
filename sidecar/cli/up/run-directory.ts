/**
 * The private directory in which one `up` keeps sockets, certificates, sidecar files and logs while it runs.
 *
 * It is 0700 and removed at the end. A directory whose `up` was killed before it could do that is removed by the
 * next one: private keys do not stay on disk because somebody pulled a plug. `outrider status` finds meshes here.
 */

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CommandFailure, oneLine } from '../failure.js';

const PREFIX = 'outrider-up-';
const NOTE = 'up.json';
/** A Unix socket's path must fit into 104 bytes (macOS; 108 on Linux), terminator included. */
const LONGEST_SOCKET_PATH = 103;

/** What `up` says about itself to others on this machine. */
export interface RunNote {
  readonly pid: number;
  readonly meshFile: string;
  /** `host:port` of every admin server, by instance. */
  readonly admin: Readonly<Record<string, string>>;
  /** Where the application calls each upstream. */
  readonly call: Readonly<Record<string, string>>;
}

export class RunDirectory {
  private constructor(
    readonly path: string,
    private readonly mayRemove: 'all' | 'contents',
  ) {}

  /** A fresh directory under the system's temporary one, or `asked`, which must be empty or absent. */
  static create(asked: string | undefined): RunDirectory {
    removeAbandoned();
    try {
      if (asked === undefined)
        return new RunDirectory(mkdtempSync(join(tmpdir(), `${PREFIX}${world()}-${process.pid}-`)), 'all');
      mkdirSync(asked, { recursive: true, mode: 0o700 });
      if (readdirSync(asked).length > 0) throw new CommandFailure(`run directory ${asked} is not empty`);
      chmodSync(asked, 0o700);
      return new RunDirectory(asked, 'contents');
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      throw new CommandFailure(`cannot make the run directory: ${oneLine(error)}`);
    }
  }

  /** A folder of its own for one sidecar. */
  folder(name: string): string {
    const folder = join(this.path, name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** Path of a Unix socket in `folder`. Throws when the system could not take a path that long. */
  socket(folder: string, name: string): string {
    const path = join(folder, name);
    if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
      throw new CommandFailure(
        `the run directory's path is too long for a Unix socket: ${path} (set run_dir or TMPDIR)`,
      );
    }
    return path;
  }

  note(note: RunNote): void {
    writeFileSync(join(this.path, NOTE), JSON.stringify(note), { mode: 0o600 });
  }

  /** Removes everything. Safe to call twice. */
  remove(): void {
    if (this.mayRemove === 'all') rmSync(this.path, { recursive: true, force: true });
    else this.empty();
  }

  private empty(): void {
    try {
      for (const name of readdirSync(this.path))
        rmSync(join(this.path, name), { recursive: true, force: true });
    } catch {
      // somebody removed it already
    }
  }
}

/** Every mesh that runs on this machine under this user, oldest first. */
export function runningMeshes(): RunNote[] {
  return runDirectories()
    .map((path) => readNote(path))
    .filter((note): note is RunNote => note !== undefined && isAlive(note.pid));
}

function removeAbandoned(): void {
  for (const path of runDirectories()) {
    if (!isAlive(ownerOf(path))) rmSync(path, { recursive: true, force: true });
  }
}

/** The process id in a name that one of us made; NaN in any other name. */
function ownerOf(path: string): number {
  const match = /^outrider-up-([a-z0-9]+)-(\d+)-\w+$/.exec(basename(path));
  return match?.[1] === world() ? Number(match[2]) : Number.NaN;
}

/** Which world a process id belongs to: containers may share a temporary directory, and not their processes. */
function world(): string {
  try {
    return Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]).toString(36);
  } catch {
    return 'host'; // not Linux
  }
}

/** Only directories of this user: in a shared temporary directory, anyone can make a name. */
function runDirectories(): string[] {
  const folder = tmpdir();
  try {
    return readdirSync(folder)
      .filter((name) => ownerOf(name) > 0)
      .map((name) => join(folder, name))
      .filter(isOurs);
  } catch {
    return [];
  }
}

function isOurs(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === process.getuid?.();
}

function readNote(path: string): RunNote | undefined {
  try {
    const note = JSON.parse(readFileSync(join(path, NOTE), 'utf8'));
    return Number.isInteger(note.pid) ? note : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
