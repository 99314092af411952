import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../../runtime/log/message-of.js';
import { makeDirectory } from '../../../runtime/process/directory.js';

/** Moves when a file written before can no longer be understood. */
const VERSION = 1;
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_HEAD_BYTES = 4096;
/** Group and world may not write: what they could plant here would get this sidecar's calls. */
const WRITABLE_BY_OTHERS = 0o022;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** A cache file as it is written. */
export interface EncodedCache {
  readonly chunks: readonly Buffer[];
  readonly digest: string;
  readonly bytes: number;
}

/** `outrider-cache VERSION SHA-256-OF-THE-BODY "SECTION"`, a line feed, and the body: one JSON value. Fed in pieces. */
export class CacheEncoder {
  private readonly hash = createHash('sha256');
  private readonly body: Buffer[] = [];
  private bytes = 0;

  constructor(private readonly section: string) {}

  /** Adds a piece of the body; the pieces joined must be one JSON value. */
  add(piece: string): void {
    const chunk = Buffer.from(piece, 'utf8');
    this.hash.update(chunk);
    this.body.push(chunk);
    this.bytes += chunk.length;
  }

  /** Call it once. */
  end(): EncodedCache {
    const digest = this.hash.digest('hex');
    const head = Buffer.from(`outrider-cache ${VERSION} ${digest} ${JSON.stringify(this.section)}\n`, 'utf8');
    return { chunks: [head, ...this.body], digest, bytes: head.length + this.bytes };
  }
}

/** The digest and the body of a cache file. @throws Error that says what is wrong with the file. */
export function decodeCache(section: string, bytes: Buffer): { digest: string; body: Buffer } {
  const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(0x0a);
  const head = bytes.subarray(0, Math.max(0, end)).toString('utf8');
  const match = /^outrider-cache (\d+) ([0-9a-f]{64}) (".*")$/.exec(head);
  if (match === null) throw new Error('it does not begin as a cache file does');
  if (Number(match[1]) !== VERSION) throw new Error(`it has version ${match[1]}; expected ${VERSION}`);
  if (match[3] !== JSON.stringify(section)) throw new Error('it belongs to another section');
  const body = bytes.subarray(end + 1);
  const digest = createHash('sha256').update(body).digest('hex');
  if (digest !== match[2]) throw new Error('its content does not fit its checksum');
  return { digest, body };
}

/**
 * Makes the directory and removes what a killed process left in it. Returns why it cannot be used; undefined: it can.
 */
export function prepareDirectory(dir: string): string | undefined {
  try {
    makeDirectory(dir, 0o700);
    const stat = statSync(dir);
    if (!stat.isDirectory()) return 'it is not a directory';
    const fault = faultOf(stat);
    if (fault !== undefined) return fault;
    // Left by a process that was killed while it wrote.
    for (const name of readdirSync(dir)) {
      if (/\.json\.[0-9a-f]{12}$/.test(name)) rmSync(join(dir, name), { force: true });
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Why a file or directory cannot be trusted: its owner, or a mode that lets others write. */
function faultOf(stat: { readonly mode: number; readonly uid: number }): string | undefined {
  const { uid } = userInfo();
  if (uid >= 0 && stat.uid !== uid) return 'it belongs to another user';
  if ((stat.mode & WRITABLE_BY_OTHERS) === 0) return undefined;
  const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
  return `it has mode ${mode}; others must not write it: chmod go-w`;
}

/**
 * The content of a file that only this user can write. The checks are on the open file, so nothing can be swapped in
 * between.
 */
export function readSafely(path: string): Buffer {
  const handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(handle);
    if (!stat.isFile()) throw new Error('it is not a regular file');
    if (stat.size > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`);
    const fault = faultOf(stat);
    if (fault !== undefined) throw new Error(fault);
    return readFileSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Writes a new file and waits until it is on disk. Leaves a part of it behind when it fails. */
export async function writeDurably(path: string, chunks: readonly Buffer[]): Promise<void> {
  const handle = await open(path, NEW_FILE, 0o600);
  try {
    for (const chunk of chunks) await handle.writeFile(chunk);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file and waits until it is on disk, before it returns. */
export function writeDurablyNow(path: string, chunks: readonly Buffer[]): void {
  const handle = openSync(path, NEW_FILE, 0o600);
  try {
    for (const chunk of chunks) writeFileSync(handle, chunk);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The file name of a section: its letters and digits, and a hash that makes it unambiguous. */
export function fileNameOf(section: string): string {
  const readable = section.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
  return `${readable}-${createHash('sha256').update(section).digest('hex').slice(0, 16)}.json`;
}

/** A name for the file before it is renamed into its place. */
export function temporaryFor(path: string): string {
  return `${path}.${randomBytes(6).toString('hex')}`;
}
