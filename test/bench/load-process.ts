/** The load process as the benchmarks see it: started on core 0, asked for runs one at a time. */

import { BenchProcess } from './bench-process.js';
import type { BackendPorts, LoadRequest, LoadResult, LoadSpec } from './load/protocol.js';
import { LOAD_CORE } from './subjects/subject.js';

const WORKER = new URL('load/worker.js', import.meta.url);

/** Load generator and backends in one process. */
export class LoadProcess {
  private constructor(private readonly child: BenchProcess<LoadRequest, BackendPorts>) {}

  /** Resolves when the backends listen. */
  static async start(): Promise<LoadProcess> {
    return new LoadProcess(await BenchProcess.start(WORKER, { core: LOAD_CORE }));
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Where the backends listen. */
  get ports(): BackendPorts {
    return this.child.ready;
  }

  /** One run of the load. */
  run(spec: LoadSpec): Promise<LoadResult> {
    return this.child.ask({ do: 'run', spec });
  }

  /** Calls that the counted backends have executed so far. */
  executions(): Promise<number> {
    return this.child.ask({ do: 'executions' });
  }

  stop(): void {
    this.child.stop();
  }
}
