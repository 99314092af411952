import type { CallRecord } from '../history/record.js';
import { machineNow } from '../protocol/run-clock.js';
import { LagMeter } from './lag.js';
import { isOpen, type OpenCall } from './noted-call.js';
import { EvenPace, PacedLoop } from './paced-loop.js';

const TICK_MS = 5;
/** Between two looks at whether the last calls have ended. */
const END_POLL_MS = 20;

/** The calls of a load once all have ended, or were given up. */
export interface EndedLoad {
  readonly calls: readonly OpenCall[];
  /** How late the event loop of the clients was, by interval, ms. */
  readonly lagMs: readonly number[];
  /** From the begin of the load until the last call was begun, s. */
  readonly seconds: number;
}

/**
 * An open loop: calls of each model at even distances, whatever becomes of those before. It has their clock, the list of them, and
 * their end. What a call is, is the matter of `make`.
 */
export class OpenLoop<Model extends CallRecord['model']> {
  /** Machine time of 0 in the records: the begin of the load. */
  zeroMs = machineNow();
  readonly calls: OpenCall[] = [];
  private readonly lag = new LagMeter(() => this.now());
  private readonly loop: PacedLoop<Model>;

  /** @param make makes a call that is due; undefined: it is left out. */
  constructor(make: (model: Model) => OpenCall | undefined) {
    const add = (model: Model): void => {
      const call = make(model);
      if (call !== undefined) this.calls.push(call);
    };
    this.loop = new PacedLoop(() => this.now(), add, TICK_MS);
  }

  /** Ms since the begin of the load. */
  now(): number {
    return machineNow() - this.zeroMs;
  }

  /** Begins; records count from here. @param rates calls a second, by model. */
  start(rates: Readonly<Partial<Record<Model, number>>>): void {
    this.zeroMs = machineNow();
    this.calls.length = 0;
    this.lag.start();
    this.loop.start(this.pacesOf(rates));
  }

  /** Calls at these rates from now on. What was due before is already sent; the new distances begin now. */
  change(rates: Readonly<Partial<Record<Model, number>>>): void {
    this.loop.change(this.pacesOf(rates));
  }

  private pacesOf(rates: Readonly<Partial<Record<Model, number>>>): (readonly [Model, EvenPace])[] {
    const nowMs = this.now();
    return Object.entries(rates).map(
      ([model, perSecond]) => [model as Model, new EvenPace(perSecond as number, nowMs)] as const,
    );
  }

  /** Ends: no more calls. Resolves with all of them once each has ended. @param limitMs then those that have not count as ended. */
  async stop(limitMs: number): Promise<EndedLoad> {
    this.loop.stop();
    const seconds = this.now() / 1_000;
    const endMs = this.now() + limitMs;
    while (this.calls.some(isOpen) && this.now() < endMs)
      await new Promise((resolve) => setTimeout(resolve, END_POLL_MS));
    this.lag.stop();
    const nowMs = this.now();
    for (const call of this.calls) if (isOpen(call)) call.endMs = nowMs;
    return { calls: this.calls, lagMs: this.lag.lags, seconds };
  }

  /** Stops at once. */
  close(): void {
    this.loop.stop();
    this.lag.stop();
  }
}
