import type { SignalName } from './detector.js';
import { Latencies } from './latency.js';
import { OutcomeWindow } from './outcome-window.js';
import { OutputWindow } from './output-window.js';

/** What the sweep's detectors read of one endpoint; each part is null while no detector that reads it is on. */
export class DetectorState {
  /** Ends of all calls, last 10 s. */
  outcomes: OutcomeWindow | null = null;
  /** Latencies of unary calls that succeeded, by class of call, last 5 to 10 s. */
  latencies: Latencies | null = null;
  /** Inspected responses, last 60 s: valid ones count as successes, those the endpoint is to blame for as faults. */
  outputs: OutputWindow | null = null;

  /** Keeps these signals from now on, and no others. */
  prepare(signals: ReadonlySet<SignalName>): void {
    this.outcomes = signals.has('outcomes') ? (this.outcomes ?? new OutcomeWindow()) : null;
    this.latencies = signals.has('latencies') ? (this.latencies ?? new Latencies()) : null;
    this.outputs = signals.has('outputs') ? (this.outputs ?? new OutputWindow()) : null;
  }

  /** Drops what is too old at `nowMs`. */
  moveTo(nowMs: number): void {
    this.outcomes?.moveTo(nowMs);
    this.outputs?.moveTo(nowMs);
  }

  /** Drops everything seen so far. */
  forget(): void {
    this.outcomes?.clear();
    this.latencies?.clear();
    this.outputs?.clear();
  }
}
