/**
 * A file system of a few megabytes, in memory, that can be filled. It is taken out of the tree of folders as soon as it is mounted, and
 * reached over an open descriptor of this process: the kernel releases it with the process, whatever ends that.
 */

import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../../runtime/attempt.js';

/** What sidecars write in a drill takes a few hundred KB. */
const SIZE_MB = 8;
const PIECE = Buffer.alloc(4_096, 0x20);
/** A log that was moved away or a file that was replaced makes room again. */
const REFILL_MS = 50;

/** Why no such disk can be made here; undefined: it can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== 'linux') return 'it mounts a file system of 8 MB, which works on Linux only';
  if (process.getuid?.() !== 0) return 'it mounts a file system of 8 MB, which only root may do';
  const inOwnSpace = ['--mount', 'mount', '-t', 'tmpfs', 'outrider-chaos', '/mnt'];
  if (spawnSync('unshare', inOwnSpace, { stdio: 'ignore' }).status !== 0)
    return 'it mounts a file system of 8 MB, which this container does not allow';
  return undefined;
}

export class SmallDisk {
  private filler: number | undefined;
  private timer: NodeJS.Timeout | undefined;

  private constructor(private root: number | undefined) {}

  /** @param dir folder that it is mounted in for a moment. Throws where it cannot be. */
  static mount(dir: string): SmallDisk {
    const place = join(dir, 'disk');
    mkdirSync(place);
    run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MB}m,mode=700`, 'outrider-chaos', place]);
    try {
      return new SmallDisk(openSync(place, 'r'));
    } finally {
      run('umount', ['--lazy', place]);
    }
  }

  /** A folder that leads to it for this process and its children, as long as this process runs. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.root}`;
  }

  /** No byte more can be written, also where something is removed meanwhile. */
  fill(): void {
    this.filler ??= openSync(this.fillerPath, 'w', 0o600);
    this.fillUp(this.filler);
    this.timer ??= setInterval(() => this.fillUp(this.filler!), REFILL_MS).unref();
  }

  empty(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.filler === undefined) return;
    closeSync(this.filler);
    this.filler = undefined;
    rmSync(this.fillerPath, { force: true });
  }

  /** What still uses it keeps it until it ends. Safe to call twice. */
  close(): void {
    this.empty();
    if (this.root !== undefined) closeSync(this.root);
    this.root = undefined;
  }

  private get fillerPath(): string {
    return join(this.path, 'filler');
  }

  private fillUp(file: number): void {
    while (attempt(() => writeSync(file, PIECE), 0) > 0);
  }
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr.trim()}`);
}
