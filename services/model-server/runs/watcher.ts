/**
 * A thread that tells how the process is while a run blocks the thread that serves: a supervisor that hears it does not
 * take a long run for a hang. It listens on a socket of its own, because the blocked thread owns the server's port, and
 * reads what runs from memory that both threads share. See watcher-thread.ts for what it says.
 */

import { rmSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../rpc.js';
import { parseListen, removeStaleSocket } from '../transport/listen.js';
import { FIELDS, type RunLog, SharedRunLog } from './run-log.js';

/**
 * Starts the thread; it ends with the process and does not keep it alive.
 * @param address `unix:/path`, as in OUTRIDER_WATCHER. Rejects with an Error when it cannot be listened on.
 * @param onProblem one sentence, when the thread ends by itself; the server goes on without it.
 */
export async function startWatcher(address: string, onProblem: (problem: string) => void): Promise<RunLog> {
  const listen = parseListen(address);
  if (listen.kind !== 'unix') throw new Error(`watcher: found '${address}', expected unix:/path`);
  await removeStaleSocket(listen.path);
  const log = new SharedRunLog(new SharedArrayBuffer(FIELDS * Float64Array.BYTES_PER_ELEMENT));
  const worker = new Worker(new URL('./watcher-thread.js', import.meta.url), {
    workerData: { path: listen.path, memory: log.memory },
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  worker.on('error', (error) => onProblem(`the watcher thread ended: ${messageOf(error)}`));
  worker.unref();
  process.once('exit', () => rmSync(listen.path, { force: true }));
  return log;
}
