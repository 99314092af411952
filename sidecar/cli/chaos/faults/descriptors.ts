/** How many descriptors a running process may have open; by `prlimit` of util-linux. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

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

/** What it says; empty where it fails, as for a process that has ended. */
async function prlimit(pid: number, args: readonly string[]): Promise<string> {
  return run('prlimit', ['--pid', String(pid), ...args]).then(
    ({ stdout }) => stdout,
    () => '',
  );
}
