/** Mocha in a process of its own, or in one that runs files as they are named: what it printed, how it ended, and the results of its tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../process/package-root.js';
import type { Done, Work } from './mocha-worker.js';
import type { Report } from './reporter.js';
import type { Result } from './run-summary.js';

const MOCHA = join(packageRoot, 'node_modules/mocha/lib/cli/cli.js');
const WORKER = fileURLToPath(new URL('./mocha-worker.js', import.meta.url));
/** What has not ended by then is killed, and has failed. */
const JOB_LIMIT_MS = 900_000;
/** A worker without work ends at once, unless a test has left something that runs. */
const END_LIMIT_MS = 10_000;

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
  const mocha = [MOCHA, ...colour, '--reporter-option', `report=${file}`, ...compiled(files)];
  const ended = await runToEnd([...before, process.execPath, '--enable-source-maps', ...mocha]);
  return { name, ...ended, report: readReport(file) };
}

const compiled = (files: readonly string[]): string[] =>
  files.map((path) => join('dist', path.replace(/\.ts$/, '.js')));

/** A process that runs sets of test files, one after the other, until it is ended or a test ends it. */
export class MochaWorker {
  private readonly log: string;
  private readonly child: ChildProcess;
  private readonly exited: Promise<string>;
  /** How many bytes of what it has written belong to sets that have ended. */
  private told = 0;
  private isRunning = true;
  private last = '';

  constructor() {
    started += 1;
    this.log = join(reports, `${started}.log`);
    const fd = openSync(this.log, 'w');
    const stdio = ['ignore', fd, fd, 'ipc'] as const;
    this.child = spawn(process.execPath, ['--enable-source-maps', WORKER], {
      cwd: packageRoot,
      stdio: [...stdio],
    });
    closeSync(fd);
    running.add(this.child);
    this.exited = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('exit', (code, signal) => {
        running.delete(this.child);
        this.isRunning = false;
        resolve(signal ?? `exit code ${code}`);
      });
    });
  }

  /** False once it can run nothing more. */
  get isUsable(): boolean {
    return this.isRunning;
  }

  /** Runs test files; they have failed where the process ends before they do. Not while others run. */
  async run(name: string, files: readonly string[]): Promise<Result & Ended> {
    const startMs = performance.now();
    started += 1;
    this.last = name;
    const report = join(reports, `${started}.json`);
    const color = process.stdout.isTTY === true;
    const done = new Promise<Done>((resolve) => this.child.once('message', resolve));
    this.child.send({ files: compiled(files), report, color } satisfies Work);
    const fault = await this.within(
      JOB_LIMIT_MS,
      Promise.race([done.then((told) => told.fault), this.exited.then((how) => `ended with ${how}`)]),
    );
    this.child.removeAllListeners('message');
    return {
      name,
      ms: performance.now() - startMs,
      fault,
      report: readReport(report),
      output: this.output(),
    };
  }

  /** Ends it; why that failed, as a fragment that names what it ran last. */
  async end(): Promise<string | undefined> {
    if (!this.isRunning) return undefined;
    this.child.disconnect();
    const fault = await this.within(
      END_LIMIT_MS,
      this.exited.then((how) => (how === 'exit code 0' ? undefined : `ended with ${how}`)),
    );
    return fault && `after ${this.last}: ${fault}\n${this.output()}`;
  }

  /** What `ending` says, or that it did not happen in time: the process is killed then. */
  private async within(limitMs: number, ending: Promise<string | undefined>): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`did not end within ${limitMs / 1000} s`), limitMs);
    });
    const fault = await Promise.race([ending, late]);
    clearTimeout(timer);
    if (fault?.startsWith('did not end') && this.isRunning) {
      this.child.kill('SIGKILL');
      await this.exited;
    }
    return fault;
  }

  private output(): string {
    const written = readFileSync(this.log);
    const text = written.subarray(this.told).toString('utf8');
    this.told = written.length;
    return text;
  }
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
