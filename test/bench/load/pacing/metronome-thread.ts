/**
 * The thread of `Metronome`: sleeps until the next call is due, to fractions of a millisecond, and posts when that was, ms of
 * the system's monotonic clock. The timers of the event loop know whole milliseconds only.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { xorshift } from '../request-encoder.js';
import { type MetronomeWork, monotonicMs } from './metronome.js';

const { ratePerSecond, seed, stop } = workerData as MetronomeWork;
const cell = new Int32Array(stop);
let random = seed | 1;
let dueMs = monotonicMs();
for (;;) {
  random = xorshift(random);
  dueMs += (-Math.log(1 - (random >>> 0) / 0x100000000) * 1000) / ratePerSecond;
  const leftMs = dueMs - monotonicMs();
  // Woken before its time: it is to stop.
  if (leftMs > 0 && Atomics.wait(cell, 0, 0, leftMs) !== 'timed-out') break;
  if (Atomics.load(cell, 0) !== 0) break;
  parentPort!.postMessage(dueMs);
}
