/**
 * The load of a drill on a running mesh: the golden input at a steady rate, an open loop as in every drill. It is bounded: calls
 * that wait are at most {@link MOST_OPEN}, and beyond that the drill stops, as calls that are not made would hide what is lost.
 */

import { type Client, status } from '@grpc/grpc-js';
import { MODEL_INFER } from '../../../codec/inference.js';
import type { CallRecord } from '../history/record.js';
import { beginNote, noteCall, type OpenCall } from '../load/noted-call.js';
import { type EndedLoad, OpenLoad, warmUp } from '../load/open-load.js';
import { callUnary } from '../protocol/call.js';
import { rawMethod } from '../protocol/raw-method.js';
import type { GoldenInput } from './golden-input.js';
import type { AvailabilityGuard } from './guard.js';

const INFER = rawMethod(MODEL_INFER);
/** Calls that wait at once. */
const MOST_OPEN = 256;
/** Calls before the drill, one after the other. */
const WARM_CALLS = 5;
/** A deadline is so many times the slowest of them, within bounds, ms. */
const DEADLINE = { times: 20, leastMs: 1_000, mostMs: 60_000 };
/** A call that waits for this share of its deadline counts as not answered well until it is. */
const LATE_SHARE = 0.5;

export interface GoldenLoadPlan {
  readonly drill: string;
  readonly client: Client;
  readonly input: GoldenInput;
  readonly guard: AvailabilityGuard;
}

export class GoldenLoad extends OpenLoad<'golden', CallRecord> {
  private count = 0;
  private deadlineMs = DEADLINE.mostMs;

  constructor(private readonly plan: GoldenLoadPlan) {
    super({ mostOpen: MOST_OPEN });
  }

  /**
   * Makes a few calls, one after the other, and learns from them how long a call may take.
   * @returns why the service is not called: an answer that is none, or not the golden one; undefined: all are right.
   */
  async warm(): Promise<string | undefined> {
    const calls: OpenCall[] = [];
    const make = (): OpenCall => {
      calls.push(this.make());
      return calls.at(-1)!;
    };
    const isGood = ({ answer }: OpenCall) => answer === 'right';
    const bad = await warmUp({ wanted: WARM_CALLS, limitMs: 0, make, isGood });
    if (bad?.answer === 'wrong') return 'the golden input does not get the golden output';
    if (bad !== undefined)
      return `the golden input gets ${status[bad.status]}${bad.reason === undefined ? '' : ` (outrider-reason: ${bad.reason})`}`;
    const slowestMs = Math.max(...calls.map(({ startMs, endMs }) => endMs - startMs));
    const { times, leastMs, mostMs } = DEADLINE;
    this.deadlineMs = Math.min(mostMs, Math.max(leastMs, times * slowestMs));
    return undefined;
  }

  /** Median time of the calls that were answered so far, ms. */
  get usualMs(): number {
    const right = this.calls.filter(({ answer }) => answer === 'right');
    const times = right.map(({ startMs, endMs }) => endMs - startMs);
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

  /** Each call ends at its deadline at the latest. */
  override stop(): Promise<EndedLoad<CallRecord>> {
    return super.stop(2 * this.deadlineMs);
  }

  protected override make(): OpenCall {
    const { client, input, drill, guard } = this.plan;
    this.count += 1;
    const startMs = this.now();
    const call: OpenCall = beginNote({
      ...{ id: `call-${drill}-${this.count}`, drill, arm: 'outrider', client: 'client-1', model: 'golden' },
      ...{ startMs, deadlineMs: startMs + this.deadlineMs, idempotent: true, answer: 'none' as const },
    });
    const said = { request: input.request(call.id), deadlineMs: this.deadlineMs };
    noteCall<Buffer>(call, {
      now: () => this.now(),
      make: (done) => callUnary(client, INFER, said, done),
      ended: (error, answer) => {
        if (error === null && answer !== undefined) Object.assign(call, input.judge(answer));
        guard.note(call.answer === 'right' || call.degraded, call.endMs);
      },
    });
    return call;
  }
}
