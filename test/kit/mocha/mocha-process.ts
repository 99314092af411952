/** Mocha in a process of its own: what it printed, how long it took, how it ended, and the results of its tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import type { Report } from './reporter.js';
import type { Result } from './run-summary.js';

const MOCHA = join(packageRoot, 'node_modules/mocha/lib/cli/cli.js');
/** A process that has not ended by then is killed, and has failed. */
const JOB_LIMIT_MS = 900_000;

const running = new Set<ChildProcess>();
const reports = mkdtempSync(join(tmpdir(), 'outrider-tests-'));
process.on('exit', () => rmSync(reports, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(1);
  });

export interface Ended {
  /** Standard output and errors, in the order in which they were written. */
  readonly output: string;
  readonly ms: number;
  /** Why it failed, as a fragment; undefined when it exited with 0. */
  readonly fault: string | undefined;
}

let started = 0;

/** Runs `command` in the root of the package to its end, at most for 15 min. It is ended with this process. */
export function runToEnd(command: readonly string[]): Promise<Ended> {
  const startMs = performance.now();
  started += 1;
  const log = join(reports, `${started}.log`);
  const fd = openSync(log, 'w');
  const [program, ...args] = command;
  const child = spawn(program!, args, { cwd: packageRoot, stdio: ['ignore', fd, fd] });
  closeSync(fd);
  running.add(child);
  let fault: string | undefined;
  const timer = setTimeout(() => {
    fault = `did not end within ${JOB_LIMIT_MS / 1000} s`;
    child.kill('SIGKILL');
  }, JOB_LIMIT_MS);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      if (code !== 0) fault ??= `ended with ${signal ?? `exit code ${code}`}`;
      resolve({ output: readFileSync(log, 'utf8'), ms: performance.now() - startMs, fault });
    });
  });
}

/**
 * Runs test files in one mocha process.
 *
 * @param files their sources, such as `test/unit/core/queue.test.ts`.
 * @param before what the command begins with, such as `nice`; nothing by default.
 */
export async function runMocha(
  name: string,
  files: readonly string[],
  before: readonly string[] = [],
): Promise<Result & Ended> {
  const file = join(reports, `${started + 1}.json`);
  const colour = process.stdout.isTTY ? ['--color'] : [];
  const compiled = files.map((path) => join('dist', path.replace(/\.ts$/, '.js')));
  const mocha = [MOCHA, ...colour, '--reporter-option', `report=${file}`, ...compiled];
  const ended = await runToEnd([...before, process.execPath, '--enable-source-maps', ...mocha]);
  return { name, ...ended, report: readReport(file) };
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
