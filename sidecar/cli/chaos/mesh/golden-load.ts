/**
 * The load of a drill on a running mesh: the golden input at a steady rate, an open loop as in every drill. It is bounded: calls
 * that wait are at most {@link MOST_OPEN}, and beyond that the drill stops, as calls that are not made would hide what is lost.
 */

import { type Client, Metadata, status } from '@grpc/grpc-js';
import { MODEL_INFER } from '../../../codec/inference.js';
import { beginNote, isOpen, noteEnd, noteMetadata, type OpenCall } from '../load/noted-call.js';
import { type EndedLoad, OpenLoop } from '../load/open-loop.js';
import { asIs } from '../protocol/raw-method.js';
import type { GoldenInput } from './golden-input.js';
import type { AvailabilityGuard } from './guard.js';

/** Calls that wait at once. */
const MOST_OPEN = 256;
/** Calls before the drill, one after the other. */
const WARM_CALLS = 5;
/** A deadline is so many times the slowest of them, within bounds, ms. */
const DEADLINE = { times: 20, leastMs: 1_000, mostMs: 60_000 };
/** A call that waits for this share of its deadline counts as not answered well until it is. */
const LATE_SHARE = 0.5;

/** What a load is made for. */
export interface GoldenLoadPlan {
  readonly drill: string;
  readonly client: Client;
  readonly input: GoldenInput;
  readonly perSecond: number;
  readonly guard: AvailabilityGuard;
}

/** Makes the calls of one drill, and notes what becomes of them. */
export class GoldenLoad {
  private readonly loop = new OpenLoop<'golden'>(() =>
    this.open.length < MOST_OPEN ? this.call() : undefined,
  );
  private count = 0;
  private deadlineMs = DEADLINE.mostMs;

  constructor(private readonly plan: GoldenLoadPlan) {}

  /** Ms since the begin of the load. */
  now(): number {
    return this.loop.now();
  }

  /**
   * Makes a few calls, one after the other, and learns from them how long a call may take.
   * @returns why the service is not called: an answer that is none, or not the golden one; undefined: all are right.
   */
  async warm(): Promise<string | undefined> {
    let slowestMs = 0;
    for (let i = 0; i < WARM_CALLS; i++) {
      const call = this.call();
      while (isOpen(call)) await new Promise((resolve) => setTimeout(resolve, 2));
      if (call.status !== status.OK)
        return `the golden input gets ${status[call.status]}${call.reason === undefined ? '' : ` (outrider-reason: ${call.reason})`}`;
      if (call.answer === 'wrong') return 'the golden input does not get the golden output';
      slowestMs = Math.max(slowestMs, call.endMs - call.startMs);
    }
    const { times, leastMs, mostMs } = DEADLINE;
    this.deadlineMs = Math.min(mostMs, Math.max(leastMs, times * slowestMs));
    return undefined;
  }

  /** Begins; records count from here. */
  start(): void {
    this.loop.start({ golden: this.plan.perSecond });
  }

  /** Median time of the calls that were answered so far, ms. */
  get usualMs(): number {
    const times = this.loop.calls
      .filter(({ answer }) => answer === 'right')
      .map((call) => call.endMs - call.startMs);
    times.sort((a, b) => a - b);
    return times[times.length >> 1] ?? 0;
  }

  /** Why the drill has to stop; undefined: it may go on. */
  whyStop(): string | undefined {
    const nowMs = this.now();
    const { open } = this;
    if (open.length >= MOST_OPEN) return `${open.length} calls wait for an answer`;
    const late = open.filter(({ startMs }) => nowMs - startMs > this.deadlineMs * LATE_SHARE).length;
    return this.plan.guard.whyStop(nowMs, late);
  }

  /** Ends: no more calls. Resolves once each has ended: at its deadline at the latest. */
  stop(): Promise<EndedLoad> {
    return this.loop.stop(2 * this.deadlineMs);
  }

  /** Stops at once. */
  close(): void {
    this.loop.close();
  }

  private get open(): readonly OpenCall[] {
    return this.loop.calls.filter(isOpen);
  }

  private call(): OpenCall {
    const { client, input, drill, guard } = this.plan;
    this.count += 1;
    const startMs = this.now();
    const call: OpenCall = beginNote({
      ...{ id: `call-${drill}-${this.count}`, drill, arm: 'outrider', client: 'client-1', model: 'golden' },
      ...{ startMs, deadlineMs: startMs + this.deadlineMs, idempotent: true, answer: 'none' as const },
    });
    const made = client.makeUnaryRequest(
      MODEL_INFER,
      asIs,
      asIs,
      input.request(call.id),
      new Metadata(),
      { deadline: Date.now() + this.deadlineMs },
      (error, answer) => {
        noteEnd(call, error, this.now());
        if (error === null && answer !== undefined) Object.assign(call, input.judge(answer));
        guard.note(call.answer === 'right' || call.degraded, call.endMs);
      },
    );
    noteMetadata(call, made);
    return call;
  }
}
