/** Programs of the benchmarks and drills as child processes: asked one thing after another over IPC, ended with this process. */

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a child sends: first what it has to say about itself (`ready`), then an answer to each request. */
interface Message {
  readonly ready?: unknown;
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** How a child is started. */
export interface AskedProcessOptions {
  /** Core to run on; absent: any. */
  readonly core?: number;
  /** Of Node. */
  readonly flags?: readonly string[];
  /** Of the program. */
  readonly args?: readonly string[];
}

/** A frozen child would not see that its parent is gone. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A child that answers requests of one kind with `answerRequests`. */
export class AskedProcess<Request, Ready = undefined> {
  private lastId = 0;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  private constructor(
    private readonly child: ChildProcess,
    /** What it said about itself, such as its port. */
    readonly ready: Ready,
  ) {
    child.on('message', (reply: Message) => this.settle(reply));
    child.on('exit', (code, signal) => {
      for (const { reject } of this.waiting.values())
        reject(new Error(`a process ended with ${code ?? signal}`));
      this.waiting.clear();
    });
  }

  /** Starts the module at `url`; resolves when it is ready to be asked. */
  static start<Request, Ready = undefined>(
    url: URL,
    { core, flags = [], args = [] }: AskedProcessOptions = {},
  ): Promise<AskedProcess<Request, Ready>> {
    const file = fileURLToPath(url);
    const node = [process.execPath, ...flags, file, ...args];
    const argv = core === undefined ? node : ['taskset', '-c', String(core), ...node];
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return new Promise((resolve, reject) => {
      const failed = (code: number | null): void => reject(new Error(`${file} ended with ${code}`));
      child.once('error', reject);
      child.once('exit', failed);
      child.once('message', ({ ready }: Message) => {
        child.removeListener('exit', failed);
        resolve(new AskedProcess<Request, Ready>(child, ready as Ready));
      });
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Rejects with the error of the child, or when it ends first. */
  ask<Value>(request: Request): Promise<Value> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise<Value>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.child.send({ id, request });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  stop(): void {
    if (this.child.connected) this.child.disconnect();
  }

  private settle({ id, value, error }: Message): void {
    const waiting = this.waiting.get(id ?? -1);
    this.waiting.delete(id ?? -1);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}

/** In a child: answers each request of the process that started it, says that it is ready, and ends with that process. */
export function answerRequests<Request>(answer: (request: Request) => unknown, ready: unknown = true): void {
  process.on('message', async ({ id, request }: { readonly id: number; readonly request: Request }) => {
    try {
      process.send?.({ id, value: await answer(request) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({ ready });
}
