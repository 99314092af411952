/**
 * The watcher thread: writes one line of JSON to each connection, at once and then every 500 ms,
 *
 *   {"beat":N,"runs":R,"running":{"forMs":…,"deadlineInMs":…|null}|null,"tid":T}
 *
 * `runs`: runs finished so far; `running`: the one that blocks the serving thread; `tid`: the kernel's id of this thread,
 * for readers that tell its CPU time from that of the model. Without a connection it sleeps.
 */

import { readlinkSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { workerData } from 'node:worker_threads';
import { Field, monotonicMs } from './run-log.js';

const BEAT_MS = 500;

const { path, memory } = workerData as { path: string; memory: SharedArrayBuffer };
const fields = new Float64Array(memory);
const tid = threadId();

createServer(serve).listen(path);

function serve(socket: Socket): void {
  let beat = 0;
  const write = (): void => {
    // A reader that stopped reading is not written to for ever.
    if (socket.writableLength > 0) return;
    socket.write(`${JSON.stringify({ beat: ++beat, runs: fields[Field.runs], running: running(), tid })}\n`);
  };
  const timer = setInterval(write, BEAT_MS);
  socket.on('error', () => {}); // `close` follows
  socket.on('close', () => clearInterval(timer));
  socket.resume();
  write();
}

function running(): { forMs: number; deadlineInMs: number | null } | null {
  const startedMs = fields[Field.startedMs]!;
  if (startedMs === 0) return null;
  const nowMs = monotonicMs();
  const deadlineMs = fields[Field.deadlineMs]!;
  const deadlineInMs = Number.isFinite(deadlineMs) ? Math.round(deadlineMs - nowMs) : null;
  return { forMs: Math.max(0, Math.round(nowMs - startedMs)), deadlineInMs };
}

/** Undefined where the kernel does not say it. */
function threadId(): number | undefined {
  try {
    return Number(/\d+$/.exec(readlinkSync('/proc/thread-self'))?.[0]) || undefined;
  } catch {
    return undefined;
  }
}
