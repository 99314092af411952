import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { ProcessExit } from '../core/health/process-end.js';
import { messageOf } from '../runtime/log/message-of.js';
import type { Guardian } from './guardian/guardian.js';

export interface OwnedProcessOptions {
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptor for its standard output, or `pipe` to read it as `output`. */
  readonly stdout: number | 'pipe';
  /** Descriptor for its standard error. */
  readonly stderr: number;
  /** Descriptors that it inherits, from 3 on. */
  readonly inherit?: readonly number[];
  /** Ends what the process started, also after the owner was killed. Absent: only the process itself ends with its owner. */
  readonly guardian?: Guardian | undefined;
  /**
   * Called once, when the process has ended or could not be started. `how`: such as `killed by
   * SIGKILL`.
   */
  onExit(how: string, exit: ProcessExit): void;
}

const NOT_STARTED: ProcessExit = { code: null, signal: null };

/**
 * A child process that does not outlive its owner. It runs in a session of its own, so that Ctrl-C
 * reaches only the owner, which ends it in order. It dies with the owner even when that is killed:
 * on Linux by the kernel (`setpriv --pdeathsig KILL`), elsewhere by the end of its standard input; what it has started in turn, by
 * the guardian.
 * The constructor starts `argv` and never throws: a command that cannot be started calls `onExit`.
 */
export class ChildProcessHandle {
  /** Undefined when the process could not be started. */
  readonly pid: number | undefined;
  private readonly child: ChildProcess | undefined;
  private ended = false;

  constructor(argv: readonly string[], options: OwnedProcessOptions) {
    const mark = options.guardian?.nextMark() ?? {};
    options.guardian?.prepare();
    const child = started(argv, { ...options, env: { ...options.env, ...mark } });
    if (typeof child === 'string') {
      this.ended = true;
      setImmediate(() => options.onExit(`could not be started: ${child}`, NOT_STARTED));
      return;
    }
    this.child = child;
    this.pid = child.pid;
    if (child.pid !== undefined) options.guardian?.watch(child.pid, mark);
    child.stdin?.on('error', () => {}); // it closed its input, and what it is told there is lost
    child.once('error', (error) => this.end(options, `could not be started: ${error.message}`, NOT_STARTED));
    child.once('exit', (code, signal) => this.end(options, describeExit(code, signal), { code, signal }));
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

  /** Signals the process group: the process and what it has started. */
  signal(name: NodeJS.Signals): void {
    if (this.ended || this.pid === undefined) return;
    signalGroup(this.pid, name);
  }

  private end(options: OwnedProcessOptions, how: string, exit: ProcessExit): void {
    if (this.ended) return;
    this.ended = true;
    if (this.pid !== undefined) {
      signalGroup(this.pid, 'SIGKILL'); // what it started and left behind
      options.guardian?.release(this.pid);
    }
    options.onExit(how, exit);
  }
}

/**
 * Starts the program. Returned is what keeps it from starting, as far as that is known at once: the command itself, and what the
 * system says by an exception (no memory for another process, arguments that are too long). Other failures come as an event.
 */
function started(argv: readonly string[], options: OwnedProcessOptions): ChildProcess | string {
  const missing = whyNotRunnable(argv[0], options.env['PATH'] ?? '');
  if (missing !== undefined) return missing;
  const [command, ...args] = withParentDeathSignal(argv);
  try {
    return spawn(command!, args, {
      detached: true,
      env: options.env,
      stdio: ['pipe', options.stdout, options.stderr, ...(options.inherit ?? [])],
    });
  } catch (error) {
    return messageOf(error);
  }
}

/** `killed by SIGKILL` or `exited with code 1`. */
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

/**
 * Why the command cannot be run. Looked up first: `setpriv` would fail with its own code and
 * message.
 */
function whyNotRunnable(command: string | undefined, path: string): string | undefined {
  if (command === undefined || command === '') return 'the command is empty';
  if (programOf(command, path) !== undefined) return undefined;
  return `command not found or not executable: ${command}`;
}

/** The file that a command runs; undefined: there is none. @param path the variable PATH. */
function programOf(command: string, path: string): string | undefined {
  const candidates = command.includes('/')
    ? [command]
    : path.split(delimiter).map((folder) => join(folder, command));
  return candidates.find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Empty: there is none that works. */
let parentDeathSignal: readonly string[] | undefined;

/** The prefix is used only where it works: BusyBox has a `setpriv` without this option. It is named by its file, as the child may have another PATH. */
function withParentDeathSignal(argv: readonly string[]): readonly string[] {
  parentDeathSignal ??= parentDeathPrefix();
  return [...parentDeathSignal, ...argv];
}

function parentDeathPrefix(): readonly string[] {
  const file = process.platform === 'linux' ? programOf('setpriv', process.env['PATH'] ?? '') : undefined;
  if (file === undefined) return [];
  const prefix = ['--pdeathsig', 'KILL', '--'];
  return spawnSync(file, [...prefix, 'true'], { stdio: 'ignore' }).status === 0 ? [file, ...prefix] : [];
}
