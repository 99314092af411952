/** Foreign programs of the interop tests: started, watched and ended by their id. */

import { type ChildProcess, spawn } from 'node:child_process';
import net from 'node:net';
import type { Address } from '../../../sidecar/config/model.js';
import { until } from '../process/processes.js';

/** On a machine that is busy with other work a program needs its time to load. */
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 3_000;

/** One running program. What it writes is kept, for the message of a failure. */
export class Program {
  output = '';
  readonly exited: Promise<void>;
  private readonly child: ChildProcess;

  /** `env` is added to the environment of the tests. */
  constructor(
    readonly name: string,
    [command, ...args]: readonly [string, ...string[]],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-100_000);
      });
    }
    this.exited = new Promise((resolve) => {
      this.child.once('exit', () => resolve());
      this.child.once('error', (error) => {
        this.output += error.message;
        resolve();
      });
    });
  }

  get isRunning(): boolean {
    return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Polls until `probe` gives something truthy. Fails with the program's own words, at once if it ended. */
  async started<T>(what: string, probe: () => T | Promise<T>): Promise<NonNullable<Exclude<T, false>>> {
    try {
      return await until(
        what,
        () => {
          if (!this.isRunning) throw new Error('it ended');
          return probe();
        },
        START_LIMIT_MS,
      );
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`${this.name}: ${why}\n${this.output}`);
    }
  }

  /** SIGTERM, and SIGKILL to one that stays. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_MS);
    await this.exited;
    clearTimeout(timer);
  }
}

/** Does something accept connections there? */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export function loopback(port: number): Address {
  return { kind: 'tcp', host: '127.0.0.1', port };
}

/** The port of an address that is known to be TCP. */
export function portOf(address: Address): number {
  if (address.kind !== 'tcp') throw new Error('expected a TCP address');
  return address.port;
}
