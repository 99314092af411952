/** A folder in which command lines of the documents run as they are written: it sees what a clone has, and is thrown away. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OUTRIDER, type Outcome, outcomeOf, REPOSITORY, Scratch } from './outrider.js';
import { until } from './processes.js';

const run = promisify(execFile);
const START_LIMIT_MS = 60_000;

export class ScratchDirectory {
  readonly scratch = new Scratch();
  private readonly children: { child: ChildProcess; outcome: Promise<Outcome> }[] = [];

  constructor() {
    cpSync(join(REPOSITORY, 'mesh-config'), join(this.path, 'mesh-config'), { recursive: true });
    symlinkSync(join(REPOSITORY, 'services'), join(this.path, 'services'));
  }

  get path(): string {
    return this.scratch.path;
  }

  /** Runs a shell's command line to its end; rejects unless it succeeds. */
  async shell(line: string): Promise<string> {
    const options = { cwd: this.path, timeout: 60_000, env: this.env({}) };
    return (await run('sh', ['-euc', withOutrider(line)], options)).stdout;
  }

  /** Starts one that stays; resolves with what it has written once that matches. Fails with its words if it ends before. */
  async start(line: string, ready: RegExp, env: Record<string, string> = {}): Promise<string> {
    const child = spawn('sh', ['-euc', `exec ${withOutrider(line)}`], { cwd: this.path, env: this.env(env) });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (part: Buffer) => {
        said += part;
      });
    const outcome = outcomeOf(child);
    this.children.push({ child, outcome });
    let hasEnded = false;
    void outcome.then(() => {
      hasEnded = true;
    });
    await until(line, () => hasEnded || ready.test(said), START_LIMIT_MS);
    assert.match(said, ready);
    return said;
  }

  /** Ends what was started, the last first, as Ctrl-C does. */
  async close(): Promise<void> {
    for (const { child, outcome } of this.children.reverse()) {
      child.kill('SIGINT');
      await outcome;
    }
    this.scratch.remove();
  }

  /** Meshes keep their run directories here. */
  private env(more: Record<string, string>): NodeJS.ProcessEnv {
    return { ...process.env, TMPDIR: this.path, ...more };
  }
}

/** `outrider` and `npx outrider` are this build. */
function withOutrider(line: string): string {
  return line.replaceAll(/(?:npx )?\boutrider (?=[a-z])/g, `${OUTRIDER.join(' ')} `);
}
