import { ErrorShift } from './error-shift.js';
import { LatencyShift } from './latency-shift.js';
import { QueueTrend } from './queue-trend.js';
import { RecentCalls } from './recent-calls.js';
import { Suspicion, type SuspicionChange } from './suspicion.js';

/** Names of the detectors in metrics and reports; their places are those in `Suspicion.detector`. */
export const FORESIGHT_DETECTORS = ['latency-shift', 'error-shift', 'queue-trend'] as const;

/** What one sweep sees of an endpoint. */
export interface Look {
  /** Calls that have succeeded, and those that have failed, since the start. */
  readonly successes: number;
  readonly faults: number;
  /** Calls that are there now. */
  readonly calls: number;
}

/** What the others show at the same time. */
export interface Common {
  /** Logarithm of latency over the usual one. */
  readonly shift: number;
  /** Share of failed calls. */
  readonly faults: number;
  /** Growth of calls in the same time. */
  readonly growth: number;
}

/** What is known of one endpoint's past, and what is suspected of its future. The detectors compare it with itself. */
export class EndpointForesight {
  /** Filled on the way of each call. */
  readonly recent = new RecentCalls();
  readonly suspicion = new Suspicion();
  readonly latency = new LatencyShift();
  readonly errors = new ErrorShift();
  readonly queue = new QueueTrend();
  private last: Look;

  /** @param start what there was before: it does not count. */
  constructor(start: Look = { successes: 0, faults: 0, calls: 0 }) {
    this.last = start;
  }

  /** First half of a sweep, about once a second. @param generationOf of the number of a kind of call. */
  look(now: Look, generationOf: (kind: number) => number, nowMs: number): void {
    const { last } = this;
    this.last = now;
    this.recent.take((kind, tookMs) => this.latency.observe(kind, generationOf(kind), tookMs, nowMs));
    this.latency.closeBlock(nowMs);
    this.errors.observe(now.successes - last.successes, now.faults - last.faults, nowMs);
    this.queue.observe(now.calls);
  }

  /** Second half; see `judgeAll`. */
  judge({ shift, faults, growth }: Common, nowMs: number): SuspicionChange {
    this.latency.judge(shift);
    this.errors.judge(faults);
    this.queue.judge(growth);
    const all = [this.latency, this.errors, this.queue];
    let first = 0;
    for (let i = 1; i < all.length; i += 1) if (all[i]!.level > all[first]!.level) first = i;
    const strongest = all[first]!;
    return this.suspicion.update(strongest.level, first, () => strongest.why, nowMs);
  }

  /** In the place of a sweep: what was measured since the last one says nothing, as the endpoint is out, or this process stood still. */
  skip(now: Look, nowMs: number): SuspicionChange {
    this.last = now;
    this.recent.clear();
    this.latency.drop();
    return this.suspicion.update(0, 0, () => '', nowMs);
  }

  /** The endpoint was away: it is to be known anew. */
  forget(): void {
    this.recent.clear();
    this.latency.forget();
    this.errors.forget();
    this.queue.forget();
    this.suspicion.clear();
  }
}
