/** A child of the discovery benchmark: started from a file beside this one, asked one thing after another, ended with us. */

import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));

interface Reply {
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
  readonly port?: number;
}

export class BenchProcess<Request> {
  private lastId = 0;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  private constructor(
    private readonly child: ChildProcess,
    /** What it listens on; 0: nothing. */
    readonly port: number,
  ) {
    child.on('message', (reply: Reply) => this.settle(reply));
    child.on('exit', (code) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`a process ended with ${code}`));
      this.waiting.clear();
    });
  }

  /** @param core undefined: any. */
  static start<Request>(
    file: string,
    options: { readonly core?: number; readonly flags?: readonly string[] } = {},
  ): Promise<BenchProcess<Request>> {
    const node = [process.execPath, ...(options.flags ?? []), join(HERE, file)];
    const argv = options.core === undefined ? node : ['taskset', '-c', String(options.core), ...node];
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
      child.once('message', ({ port }: Reply) => {
        child.removeAllListeners('exit');
        resolve(new BenchProcess<Request>(child, port ?? 0));
      });
    });
  }

  ask<Value>(request: Request): Promise<Value> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise<Value>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.child.send({ id, request });
    });
  }

  stop(): void {
    if (this.child.connected) this.child.disconnect();
  }

  private settle({ id, value, error }: Reply): void {
    const waiting = this.waiting.get(id ?? -1);
    this.waiting.delete(id ?? -1);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}
