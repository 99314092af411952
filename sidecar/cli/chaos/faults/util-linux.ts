/** What a running process may use: its cores, by `taskset`, and its descriptors, by `prlimit`, both of util-linux; and processes that keep a core busy. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ChildProcessHandle } from '../../../supervise/child-process.js';

export function isInPath(name: string, path: string = process.env['PATH'] ?? ''): boolean {
  return path.split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));
}

/** The first core in the answer of `taskset -cp`, such as `pid 12's current affinity list: 0-3,8`; undefined: it names none. */
export function firstCore(answer: string): number | undefined {
  const found = /list: (\d+)/.exec(answer)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The list of cores in such an answer. */
export function coresIn(answer: string): string | undefined {
  return /list: ([\d,-]+)/.exec(answer)?.[1];
}

export class SharedCore {
  private hogs: readonly ChildProcessHandle[] = [];

  private constructor(
    readonly core: number,
    /** The cores that each process had before. */
    private readonly before: ReadonlyMap<number, string>,
  ) {}

  /** From now on all threads of these processes run on one core, the first that they may use. A process that is gone is left out. */
  static async pin(pids: readonly number[]): Promise<SharedCore> {
    const before = new Map<number, string>();
    let core: number | undefined;
    for (const pid of pids) {
      const answer = await taskset(['-cp', String(pid)]);
      const cores = coresIn(answer);
      if (cores === undefined) continue;
      core ??= firstCore(answer);
      before.set(pid, cores);
    }
    for (const pid of before.keys()) await taskset(['-acp', String(core), String(pid)]);
    return new SharedCore(core ?? 0, before);
  }

  /** So many busy processes run on the core too. Each ends by itself after `limitS` seconds of CPU time, where nothing ends it earlier. */
  crowd(count: number, limitS: number): void {
    // A shell starts in a millisecond: nothing else is disturbed by the start itself.
    const loop = `ulimit -t ${limitS}; while :; do :; done`;
    const argv = ['taskset', '-c', String(this.core), 'sh', '-c', loop];
    this.hogs = Array.from(
      { length: count },
      () => new ChildProcessHandle(argv, { env: process.env, stdout: 2, stderr: 2, onExit: () => {} }),
    );
  }

  /** The busy processes end, and the others have their cores again. */
  async release(): Promise<void> {
    for (const hog of this.hogs) hog.signal('SIGKILL');
    for (const [pid, cores] of this.before) await taskset(['-acp', cores, String(pid)]);
  }
}

/** The soft limit in the answer of `prlimit --raw --noheadings --output SOFT`; undefined: it holds none. */
export function softLimitIn(answer: string): string | undefined {
  return /^\s*(\d+|unlimited)\s*$/.exec(answer)?.[1];
}

/** The limit of one process, which can be put back. */
export class DescriptorLimit {
  private constructor(
    private readonly pid: number,
    private readonly before: string,
  ) {}

  /**
   * From now on the process opens no descriptor: its soft limit is below what it has open. What is open stays.
   *
   * @returns undefined where the process has ended.
   */
  static async exhaust(pid: number): Promise<DescriptorLimit | undefined> {
    const before = softLimitIn(await prlimit(pid, ['--nofile', '--raw', '--noheadings', '--output', 'SOFT']));
    if (before === undefined) return undefined;
    await prlimit(pid, ['--nofile=3:']);
    return new DescriptorLimit(pid, before);
  }

  async restore(): Promise<void> {
    await prlimit(this.pid, [`--nofile=${this.before}:`]);
  }
}

function taskset(args: readonly string[]): Promise<string> {
  return saidBy('taskset', args);
}

function prlimit(pid: number, args: readonly string[]): Promise<string> {
  return saidBy('prlimit', ['--pid', String(pid), ...args]);
}

/** What a program prints; empty where it fails, as for a process that has ended. */
async function saidBy(program: string, args: readonly string[]): Promise<string> {
  return promisify(execFile)(program, args).then(
    ({ stdout }) => stdout,
    () => '',
  );
}
