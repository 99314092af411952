/**
 * How long the event loop of this process stood still, at a resolution of 1 ms: by the clock, and by the CPU time of the
 * main thread alone, which other processes on the machine cannot lengthen. On a quiet machine the two are alike. Linux.
 */

import { closeSync, openSync, readSync } from 'node:fs';

/** How long the event loop stood still at most, ms. */
export interface Stall {
  /** By the clock, from one turn of a 1 ms timer to the next; 1 ms is none. */
  readonly stallMs: number;
  /** Most CPU time of the main thread from one turn to the next. */
  readonly ownMs: number;
}

/** Measures the longest stall since the last reset. */
export class LoopMeter {
  private readonly stat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  private readonly text = Buffer.alloc(64);
  private readonly never = new Int32Array(new SharedArrayBuffer(4));
  private readonly timer: NodeJS.Timeout;
  private lastNs = this.cpuNs();
  private mostNs = 0;
  private lastMs = performance.now();
  private mostMs = 0;

  constructor() {
    this.timer = setInterval(() => this.tick(), 1);
  }

  reset(): void {
    this.tick();
    this.mostNs = 0;
    this.mostMs = 0;
  }

  read(): Stall {
    this.tick();
    return { stallMs: this.mostMs, ownMs: this.mostNs / 1e6 };
  }

  close(): void {
    clearInterval(this.timer);
    closeSync(this.stat);
  }

  private tick(): void {
    const ms = performance.now();
    const ns = this.cpuNs();
    this.mostMs = Math.max(this.mostMs, ms - this.lastMs);
    this.mostNs = Math.max(this.mostNs, ns - this.lastNs);
    this.lastMs = ms;
    this.lastNs = ns;
  }

  /** The kernel counts a thread's time when it leaves the core: it does so for an instant. */
  private cpuNs(): number {
    Atomics.wait(this.never, 0, 0, 0.01);
    const length = readSync(this.stat, this.text, 0, this.text.length, 0);
    return Number(this.text.toString('latin1', 0, length).split(' ', 1)[0]);
  }
}
