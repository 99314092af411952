/** Envoy's process, and the one that follows it: its hot restart, with a number (`--restart-epoch`) that grows each time. */

import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../../runtime/attempt.js';
import { systemClock } from '../../../runtime/time/clock.js';
import { ChildProcessHandle } from '../../../supervise/child-process.js';
import { CommandFailure } from '../../failure.js';

const READY_LIMIT_MS = 10_000;
const POLL_MS = 50;
/** How long the old process works on after the new one is ready, s: first it sends connections away, then it ends. */
const DRAIN_S = 2;
const END_S = 3;

export interface EnvoyHome {
  readonly program: string;
  readonly file: string;
  /** Folder for its log and for the number by which its processes find each other. */
  readonly dir: string;
  /** What its admin port says at `/server_info`: state and number of the process that has the port. */
  readonly info: () => Promise<string>;
}

/** Envoy, in one process, or in two while one follows the other. */
export class EnvoyProcess {
  private readonly children: ChildProcessHandle[] = [];
  /** How the last one that ended did. */
  private ended = '';

  constructor(private readonly home: EnvoyHome) {}

  /** Starts it, or its successor. Resolves when that accepts calls; rejects when it ends, or takes 10 s. */
  async start(): Promise<void> {
    const epoch = this.children.length;
    const child = this.launch(epoch);
    const endMs = systemClock.now() + READY_LIMIT_MS;
    while (!(await this.isReady(epoch))) {
      if (!child.alive || systemClock.now() > endMs)
        throw new CommandFailure(`envoy does not start${epoch === 0 ? '' : ' anew'}${this.why}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  get pids(): readonly number[] {
    return this.children.flatMap(({ alive, pid }) => (alive && pid !== undefined ? [pid] : []));
  }

  kill(): void {
    for (const child of this.children) child.signal('SIGKILL');
  }

  /** For a message: the last line that it wrote, or how it ended. */
  private get why(): string {
    const lines = attempt(() => readFileSync(this.logFile, 'utf8'), '')
      .trim()
      .split('\n');
    const said = lines.at(-1) || this.ended;
    return said === '' ? '' : `: ${said}`;
  }

  private get logFile(): string {
    return join(this.home.dir, 'envoy.txt');
  }

  private launch(epoch: number): ChildProcessHandle {
    const { program, file } = this.home;
    const log = openSync(this.logFile, 'a', 0o600);
    const times = ['--drain-time-s', String(DRAIN_S), '--parent-shutdown-time-s', String(END_S)];
    const argv = [program, '-c', file, '--concurrency', '1', '-l', 'error', ...times, ...this.line(epoch)];
    const child = new ChildProcessHandle(argv, {
      env: process.env,
      stdout: log,
      stderr: log,
      onExit: (how) => {
        this.ended = how;
      },
    });
    closeSync(log);
    this.children.push(child);
    return child;
  }

  /** The options by which a process finds its predecessor: the first one chooses a number that is free on the machine. */
  private line(epoch: number): readonly string[] {
    const idFile = join(this.home.dir, 'envoy-base-id');
    if (epoch === 0) return ['--use-dynamic-base-id', '--base-id-path', idFile];
    const id = attempt(() => readFileSync(idFile, 'utf8').trim(), '');
    return ['--base-id', id, '--restart-epoch', String(epoch)];
  }

  /** Whether the admin port, which goes from process to process, is that of a process that serves. */
  private async isReady(epoch: number): Promise<boolean> {
    return servesAs(await this.home.info().catch(() => ''), epoch);
  }
}

/** Whether the page `/server_info` is that of a process with this number, and says that it serves. */
export function servesAs(info: string, epoch: number): boolean {
  const found = attempt(() => JSON.parse(info) as EnvoyInfo, undefined);
  return found?.state === 'LIVE' && (found.command_line_options?.restart_epoch ?? 0) === epoch;
}

interface EnvoyInfo {
  readonly state?: string;
  readonly command_line_options?: { readonly restart_epoch?: number };
}
