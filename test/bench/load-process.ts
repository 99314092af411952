/** The load process as the benchmarks see it: started on core 0, asked for runs one at a time. */

import { AskedProcess } from '../kit/process/asked-process.js';
import type { BackendPorts, LoadRequest, LoadSpec } from './load/protocol.js';
import type { LoadResult } from './load/run.js';
import { LOAD_CORE } from './subjects/subject.js';

const WORKER = new URL('load/worker.js', import.meta.url);

/** Load generator and backends in one process. */
export type LoadProcess = Awaited<ReturnType<typeof startLoad>>;

/** Resolves when the backends listen. */
export async function startLoad() {
  const child = await AskedProcess.start<LoadRequest, BackendPorts>(WORKER, { core: LOAD_CORE });
  return {
    pid: child.pid,
    /** Where the backends listen. */
    ports: child.ready,
    run: (spec: LoadSpec): Promise<LoadResult> => child.ask({ do: 'run', spec }),
    /** Calls that the counted backends have executed so far. */
    executions: (): Promise<number> => child.ask({ do: 'executions' }),
    stop: () => child.stop(),
  };
}
