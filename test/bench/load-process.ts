/** The load process as the benchmark sees it: started on core 0, asked for runs one at a time. */

import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackendPorts, LoadResult, LoadSpec, Reply, Request } from './load/protocol.js';
import { LOAD_CORE } from './subjects/subject.js';

const WORKER = join(dirname(fileURLToPath(import.meta.url)), 'load/worker.js');

export class LoadProcess {
  private nextId = 1;
  private readonly waiting = new Map<
    number,
    { resolve: (reply: Reply) => void; reject: (error: Error) => void }
  >();

  private constructor(
    private readonly child: ChildProcess,
    readonly ports: BackendPorts,
  ) {
    child.on('message', (reply: Reply) => this.settle(reply));
    child.on('exit', (code) => {
      for (const w of this.waiting.values()) w.reject(new Error(`the load process ended with ${code}`));
      this.waiting.clear();
    });
  }

  static start(): Promise<LoadProcess> {
    const child = spawn('taskset', ['-c', String(LOAD_CORE), process.execPath, WORKER], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the load process ended with ${code}`)));
      child.once('message', (reply: Reply) => {
        if (!('ready' in reply)) return;
        child.removeAllListeners('exit');
        resolve(new LoadProcess(child, reply.ready));
      });
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  async run(spec: LoadSpec): Promise<LoadResult> {
    const reply = await this.ask({ id: this.nextId++, do: 'run', spec });
    if (!('result' in reply)) throw new Error('error' in reply ? reply.error : 'no result');
    return reply.result;
  }

  async executions(): Promise<number> {
    const reply = await this.ask({ id: this.nextId++, do: 'executions' });
    if (!('executions' in reply)) throw new Error('no count of executions');
    return reply.executions;
  }

  stop(): void {
    if (this.child.connected) this.child.disconnect();
  }

  private ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.waiting.set(request.id, { resolve, reject });
      this.child.send(request);
    });
  }

  private settle(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    waiting?.resolve(reply);
  }
}
