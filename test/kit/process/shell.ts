/** Command lines of a shell in a folder, as a reader of a document types them. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { type Outcome, outcomeOf } from './outrider.js';
import { until } from './processes.js';

const run = promisify(execFile);
const START_LIMIT_MS = 60_000;

export class ShellIn {
  private readonly children: { child: ChildProcess; outcome: Promise<Outcome> }[] = [];

  /** Meshes keep their run directories in the folder. `env`: added to the environment of each line. */
  constructor(
    private readonly folder: string,
    private readonly env: Readonly<Record<string, string>> = {},
  ) {}

  /** Runs a line to its end, within a minute where nothing else is said; rejects unless it succeeds. */
  async run(line: string, timeout = 60_000): Promise<string> {
    const options = { cwd: this.folder, timeout, env: this.environment({}) };
    return (await run('sh', ['-euc', line], options)).stdout;
  }

  /** Starts one that stays; resolves with what it has written once that matches. Fails with its words if it ends before. */
  async start(line: string, ready: RegExp, env: Record<string, string> = {}): Promise<string> {
    const options = { cwd: this.folder, env: this.environment(env), detached: true };
    const child = spawn('sh', ['-euc', `exec ${line}`], options);
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

  /** Ends what was started, the last first, as Ctrl-C does: the whole process group gets the signal. */
  async close(): Promise<void> {
    for (const { child, outcome } of this.children.reverse()) {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGINT');
      await outcome;
    }
  }

  private environment(more: Record<string, string>): NodeJS.ProcessEnv {
    return { ...process.env, TMPDIR: this.folder, ...this.env, ...more };
  }
}
