/**
 * A child process that cannot outlive its owner, and that hears no signal meant for its owner.
 *
 * It runs in its own session, so Ctrl-C on the terminal reaches only the owner, who ends it in the right order.
 * It dies with its owner even when that one is killed: on Linux the kernel does it (`setpriv --pdeathsig KILL`),
 * and everywhere its standard input is a pipe that ends when the owner is gone. What it does is not judged here.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { ProcessExit } from '../core/health/process-end.js';

export interface OwnedProcessOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptor that receives its standard output, or `pipe` to read it as `output`. */
  readonly stdout: number | 'pipe';
  /** Descriptor that receives its standard error. */
  readonly stderr: number;
  /** Descriptors that it finds from 3 on. */
  readonly inherit?: readonly number[];
  /** Called once, when the process has ended or could not be started; one sentence without a subject. */
  onExit(how: string, exit: ProcessExit): void;
}

const NOT_STARTED: ProcessExit = { code: null, signal: null };

/** Starts `argv`. Never throws: a command that cannot be started exits at once, and says why. */
export class ChildProcessHandle {
  /** Undefined when the process could not be started. */
  readonly pid: number | undefined;
  private readonly child: ChildProcess | undefined;
  private ended = false;

  constructor(argv: readonly string[], options: OwnedProcessOptions) {
    const missing = whyNotRunnable(argv[0], options.env['PATH'] ?? '');
    if (missing !== undefined) {
      this.ended = true;
      setImmediate(() => options.onExit(missing, NOT_STARTED));
      return;
    }
    const [command, ...args] = withParentDeathSignal(argv);
    this.child = spawn(command!, args, {
      detached: true,
      env: options.env,
      stdio: ['pipe', options.stdout, options.stderr, ...(options.inherit ?? [])],
    });
    this.pid = this.child.pid;
    this.child.stdin?.on('error', () => {}); // it closed its input, and what it is told there is lost
    this.child.once('error', (error) =>
      this.end(options, `could not be started: ${error.message}`, NOT_STARTED),
    );
    this.child.once('exit', (code, signal) =>
      this.end(options, describeExit(code, signal), { code, signal }),
    );
  }

  get alive(): boolean {
    return !this.ended;
  }

  /** Its standard output, when that was asked for as a pipe. */
  get output(): NodeJS.ReadableStream | undefined {
    return this.child?.stdout ?? undefined;
  }

  /** Its standard input. */
  get input(): NodeJS.WritableStream | undefined {
    return this.child?.stdin ?? undefined;
  }

  /** Signals the process and everything it started, if it still runs. */
  signal(name: NodeJS.Signals): void {
    if (this.ended || this.pid === undefined) return;
    signalGroup(this.pid, name);
  }

  private end(options: OwnedProcessOptions, how: string, exit: ProcessExit): void {
    if (this.ended) return;
    this.ended = true;
    if (this.pid !== undefined) signalGroup(this.pid, 'SIGKILL'); // what it started and left behind
    options.onExit(how, exit);
  }
}

/** One sentence without a subject: `killed by SIGKILL`, `exited with code 1`. */
export function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exited with code ${code}` : `killed by ${signal}`;
}

function signalGroup(leader: number, name: NodeJS.Signals): void {
  try {
    process.kill(-leader, name);
  } catch {
    // the group is gone already
  }
}

/** Looked up beforehand, because `setpriv` would answer with its own exit code and words. */
function whyNotRunnable(command: string | undefined, path: string): string | undefined {
  if (command === undefined || command === '') return 'could not be started: the command is empty';
  const places = command.includes('/')
    ? [command]
    : path.split(delimiter).map((folder) => join(folder, command));
  if (places.some(isExecutable)) return undefined;
  return `could not be started: command not found or not executable: ${command}`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

let parentDeathSignal: boolean | undefined;

/** The prefix is used only where it works: BusyBox has a `setpriv` without this option. */
function withParentDeathSignal(argv: readonly string[]): readonly string[] {
  parentDeathSignal ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true'], { stdio: 'ignore' }).status === 0;
  return parentDeathSignal ? ['setpriv', '--pdeathsig', 'KILL', '--', ...argv] : argv;
}
