import { WheelTimer } from '../../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from '../../transport/context.js';

/** Something to be done later. */
export interface MirrorTask {
  run(): void;
  /** It will not be done: releases what it holds. */
  drop(): void;
}

/** Time for comparing, in each second and at most at once, ms. */
const COMPARE_MS_PER_S = 20;
const SLICE_MS = 2;
/** Pairs of answers that may wait. */
const MAX_WAITING = 64;
/** A copy begins this long after the call it is a copy of. */
const PAUSE_MS = 1;

/**
 * Sends copies and compares responses outside the turn of the call they belong to, a little at a time: comparing has 20 ms of
 * each second and 2 ms at once. What does not fit waits, and what cannot wait is dropped.
 */
export class MirrorScheduler {
  private sending: MirrorTask[] = [];
  private comparing: MirrorTask[] = [];
  private leftMs = COMPARE_MS_PER_S;
  private filledMs = 0;
  private readonly timer = new WheelTimer(() => this.work());

  constructor(readonly context: DataPlaneContext) {}

  send(task: MirrorTask): void {
    this.sending.push(task);
    this.arm(this.context.nowMs + PAUSE_MS);
  }

  /** False: too many wait. */
  compare(task: MirrorTask): boolean {
    if (this.comparing.length >= MAX_WAITING) return false;
    this.comparing.push(task);
    this.arm(this.context.nowMs + PAUSE_MS);
    return true;
  }

  stop(): void {
    this.context.wheel.cancel(this.timer);
    for (const task of [...this.sending.splice(0), ...this.comparing.splice(0)]) task.drop();
  }

  private work(): void {
    const { context } = this;
    context.nowMs = context.clock.now();
    for (const task of this.sending.splice(0)) task.run();
    this.fill(context.nowMs);
    let spent = 0;
    while (this.comparing.length > 0 && this.leftMs > 0 && spent < SLICE_MS) {
      const startMs = context.clock.now();
      this.comparing.shift()!.run();
      const took = context.clock.now() - startMs;
      spent += took;
      this.leftMs -= took;
    }
    if (this.comparing.length === 0) return;
    // Time that was overdrawn is earned back first.
    const waitMs = this.leftMs > 0 ? PAUSE_MS : (1 - this.leftMs) * (1000 / COMPARE_MS_PER_S);
    this.arm(context.nowMs + waitMs);
  }

  private fill(nowMs: number): void {
    const earned = ((nowMs - this.filledMs) * COMPARE_MS_PER_S) / 1000;
    this.leftMs = Math.min(COMPARE_MS_PER_S, this.leftMs + earned);
    this.filledMs = nowMs;
  }

  private arm(atMs: number): void {
    const { wheel } = this.context;
    if (this.timer.isScheduled) {
      if (this.timer.dueMs <= atMs) return;
      wheel.cancel(this.timer);
    }
    wheel.add(this.timer, atMs);
  }
}
