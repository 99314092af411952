import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { messageOf } from '../../runtime/log/message-of.js';
import {
  markName,
  OWNER_PROCESS_VARIABLE,
  OWNER_VARIABLE,
  ownStamp,
  startTimeOf,
} from '../../runtime/process/owned-processes.js';
import { GUARDIAN_SCRIPT } from './guardian-script.js';

export interface GuardianOptions {
  /** Of the owner, as the instance of a sidecar. */
  readonly name: string;
  /** 24 hexadecimal digits that no other owner has. */
  readonly nonce: string;
  /** Default: `/bin/sh`. */
  readonly shell?: string;
  /** Called at most once for each thing that keeps it from its work, with one sentence. */
  onProblem(problem: string): void;
}

/** Between SIGTERM and SIGKILL for what outlives the owner, tenths of a second. */
const PATIENCE_TENTHS = 20;
/** A shell that ends so often is not started again. */
const MOST_ENDS = 5;
/** A new shell looks for what so many children left behind that ended last: the one before may have died before it did. */
const MOST_ENDED = 16;
const SHELL = '/bin/sh';

/**
 * Ends what this process has started when this process has ended, however it ended. The kernel's parent-death signal reaches direct
 * children only; a model's own children outlive them, and keep its port and its GPU memory.
 *
 * A small shell in a session of its own reads a pipe whose other end only this process has: Node marks it close-on-exec, so that no child
 * inherits it. At its end the shell sends SIGTERM, and SIGKILL two seconds later, to the process groups of the children and to every
 * process that carries this owner's mark in its environment, wherever it has moved.
 *
 * One shell for each process, from the first child on, and none for a call.
 */
export class Guardian {
  private shell: ChildProcess | undefined;
  /** How often a shell has ended before this process. */
  private ends = 0;
  private starts = 0;
  private readonly stamp = ownStamp();
  /** Start time and mark of the children that run, by process id. */
  private readonly children = new Map<number, { readonly startTime: string; readonly mark: string }>();
  /** Marks of the children that ended last. */
  private readonly ended: string[] = [];
  private readonly problems = new Set<string>();
  private readonly stem: string;

  constructor(private readonly options: GuardianOptions) {
    this.stem = `${markName(options.name)}-${options.nonce}`;
  }

  /** What the next child has in its environment. Each start has a mark of its own, so that what it left behind is told apart. */
  nextMark(): Readonly<Record<string, string>> {
    this.starts += 1;
    const mark = this.stem + this.starts.toString(16).padStart(8, '0');
    return {
      [OWNER_VARIABLE]: mark,
      ...(this.stamp === undefined ? {} : { [OWNER_PROCESS_VARIABLE]: this.stamp }),
    };
  }

  /** Starts the shell, where there is none, before a child that it has to end. Never throws. */
  prepare(): void {
    if (this.shell === undefined && this.ends < MOST_ENDS) this.launch();
  }

  /** A child that leads a process group has started with `mark` of `nextMark`. */
  watch(pid: number, { [OWNER_VARIABLE]: mark = '' }: Readonly<Record<string, string>>): void {
    const startTime = startTimeOf(pid) ?? '0';
    this.children.set(pid, { startTime, mark });
    this.tell(`+ ${pid} ${startTime}`);
  }

  /** It has ended. What it started and what left its group ends as well. */
  release(pid: number): void {
    const child = this.children.get(pid);
    if (child === undefined) return;
    this.children.delete(pid);
    if (this.ended.push(child.mark) > MOST_ENDED) this.ended.shift();
    this.tell(`- ${pid} ${child.mark}`);
  }

  /** Process id of the shell; undefined: there is none. */
  get pid(): number | undefined {
    return this.shell?.pid;
  }

  private launch(): void {
    if (this.stamp === undefined)
      this.complain(
        'without /proc, processes that leave the group of the one that started them are not found',
      );
    const program = this.options.shell ?? SHELL;
    const running = [...this.children].map(([pid, { startTime }]) => `${pid}:${startTime}`);
    const argv = ['-c', GUARDIAN_SCRIPT, 'outrider-guardian', this.stem, String(PATIENCE_TENTHS), ...running];
    const failed = (error: unknown): void =>
      this.giveUp(`${program} cannot be started (${messageOf(error)})`);
    let shell: ChildProcess;
    try {
      shell = spawn(program, argv, {
        cwd: '/',
        detached: true,
        env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
        stdio: ['pipe', 'ignore', 'ignore'],
      });
    } catch (error) {
      // What the system refuses at once is thrown, such as for want of memory.
      return failed(error);
    }
    shell.once('error', failed);
    // There is none where descriptors have run out.
    if (shell.pid === undefined) return;
    shell.once('exit', () => this.lost(program));
    shell.unref();
    const stdin = shell.stdin as Socket;
    stdin.unref();
    stdin.on('error', () => {}); // `exit` follows
    this.shell = shell;
    // Most of them the shell before it has dealt with: of those nothing is found.
    for (const mark of this.ended) this.tell(`- 0 ${mark}`);
  }

  /** The shell has ended before this process. */
  private lost(program: string): void {
    this.shell = undefined;
    this.ends += 1;
    if (this.ends < MOST_ENDS) this.launch();
    else this.giveUp(`${program} ended ${MOST_ENDS} times`);
  }

  private giveUp(why: string): void {
    this.complain(`${why}: should this process be killed, what its children have started goes on`);
  }

  private tell(line: string): void {
    this.shell?.stdin?.write(`${line}\n`);
  }

  private complain(problem: string): void {
    if (this.problems.has(problem)) return;
    this.problems.add(problem);
    this.options.onProblem(problem);
  }
}
