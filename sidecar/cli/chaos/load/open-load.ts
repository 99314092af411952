import { greatestLag } from '../history/deadlines.js';
import type { NotedCall } from '../history/record.js';
import { machineNow } from '../protocol/run-clock.js';
import { LagMeter } from './lag.js';
import { isOpen, type Open } from './noted-call.js';
import { evenly, Pace } from './pace.js';

const TICK_MS = 4;
/** Between two looks at whether the last calls have ended. */
const END_POLL_MS = 20;

export interface EndedLoad<Call extends NotedCall = NotedCall> {
  readonly calls: readonly Call[];
  /** How late the event loop of the clients was, by interval, ms. */
  readonly lagMs: readonly number[];
  /** From the begin of the load until the last call was begun, s. */
  readonly seconds: number;
}

/** The paces of all kinds of calls, from a moment on. */
export type Paces<Kind extends string> = (nowMs: number) => readonly (readonly [Kind, Pace])[];

/** Calls at even distances. @param rates calls a second, by kind. */
export function even<Kind extends string>(rates: Readonly<Record<Kind, number>>): Paces<Kind> {
  const all = Object.entries<number>(rates) as [Kind, number][];
  return (nowMs) => all.map(([kind, perSecond]) => [kind, new Pace(evenly(perSecond, nowMs))] as const);
}

export interface OpenLoadOptions {
  /** The moment of `performance.now()` that is 0 in the records. Absent: the begin of the load. */
  readonly originMs?: number;
  /** Between two looks at what is due. */
  readonly tickMs?: number;
  /** Calls that may be under way at once: what is due beyond that is left out. Absent: any number. */
  readonly mostOpen?: number;
}

/**
 * An open loop: calls are made when they are due, whatever becomes of those before, and each of them is noted. A closed loop would
 * send less while something is wrong, and so would hide it (coordinated omission).
 */
export abstract class OpenLoad<Kind extends string, Call extends NotedCall> {
  readonly calls: Open<Call>[] = [];
  private originMs = this.own.originMs ?? performance.now();
  private paces: ReturnType<Paces<Kind>> = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly lag = new LagMeter(() => this.now());

  constructor(private readonly own: OpenLoadOptions = {}) {}

  /** Makes a call that is due, and notes it. */
  protected abstract make(kind: Kind): Open<Call>;

  /** Ms, on the clock of the records. */
  now(): number {
    return performance.now() - this.originMs;
  }

  /** Machine time of 0 in the records. */
  get zeroMs(): number {
    return machineNow() - this.now();
  }

  /** Begins; records count from here. */
  start(paces: Paces<Kind>): void {
    this.originMs = this.own.originMs ?? performance.now();
    this.calls.length = 0;
    this.lag.start();
    this.resume(paces);
  }

  /** Calls in this manner from now on. What was due before is already made. */
  change(paces: Paces<Kind>): void {
    this.paces = paces(this.now());
  }

  /** Makes no more calls until it is resumed. */
  pause(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  resume(paces: Paces<Kind>): void {
    if (this.timer !== undefined) return;
    this.change(paces);
    this.timer = setInterval(() => this.makeWhatIsDue(), this.own.tickMs ?? TICK_MS);
  }

  /** Calls that are under way. */
  get open(): readonly Call[] {
    return this.calls.filter(isOpen);
  }

  within(fromMs: number, toMs: number): readonly Call[] {
    return this.calls.filter(({ startMs }) => startMs >= fromMs && startMs <= toMs);
  }

  /** Whether each call made in a stretch of time has ended, at the latest so long after now. */
  async haveEnded(fromMs: number, toMs: number, limitMs: number): Promise<boolean> {
    const endMs = this.now() + limitMs;
    while (this.within(fromMs, toMs).some(isOpen)) {
      if (this.now() > endMs) return false;
      await pause(END_POLL_MS);
    }
    return true;
  }

  /** How late the event loop of the clients was, by interval, ms. */
  get lagMs(): readonly number[] {
    return this.lag.lags;
  }

  /** The greatest lateness of the clients' event loop in a stretch of time, ms: calls sent or read late are no fault of an arm. */
  lagIn(fromMs: number, toMs: number): number {
    return greatestLag(this.lagMs, fromMs, toMs);
  }

  /** Ends: no more calls. Resolves with all of them once each has ended. @param limitMs then those that have not count as ended. */
  async stop(limitMs: number): Promise<EndedLoad<Call>> {
    this.pause();
    const seconds = this.now() / 1_000;
    await this.haveEnded(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, limitMs);
    this.lag.stop();
    const nowMs = this.now();
    for (const call of this.calls) if (isOpen(call)) call.endMs = nowMs;
    return { calls: this.calls, lagMs: this.lagMs, seconds };
  }

  close(): void {
    this.pause();
    this.lag.stop();
  }

  private makeWhatIsDue(): void {
    const nowMs = this.now();
    const { mostOpen } = this.own;
    for (const [kind, pace] of this.paces)
      for (let due = pace.take(nowMs); due > 0; due--)
        if (mostOpen === undefined || this.open.length < mostOpen) this.calls.push(this.make(kind));
  }
}

const WARM_POLL_MS = 2;
const WARM_REST_MS = 20;

export interface Warming<Call> {
  /** Good calls in a row. */
  readonly wanted: number;
  readonly limitMs: number;
  make(): Call;
  isGood(call: Call): boolean;
}

/** Makes one call after the other until enough in a row are good. @returns the last one where that takes too long. */
export async function warmUp<Call extends Pick<NotedCall, 'answers'>>({
  wanted,
  limitMs,
  make,
  isGood,
}: Warming<Call>): Promise<Call | undefined> {
  const endMs = performance.now() + limitMs;
  for (let good = 0; good < wanted; ) {
    const call = make();
    // The trailers of the same call are read a moment after its answer.
    do await pause(WARM_POLL_MS);
    while (isOpen(call));
    good = isGood(call) ? good + 1 : 0;
    if (good > 0) continue;
    if (performance.now() >= endMs) return call;
    await pause(WARM_REST_MS);
  }
  return undefined;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
