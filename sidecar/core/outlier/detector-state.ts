import { ConnectionEnds } from './connection-ends.js';
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
  /** Connections to it that were cut. */
  connections: ConnectionEnds | null = null;

  /** Keeps these signals from now on, and no others. */
  prepare(signals: ReadonlySet<SignalName>): void {
    this.outcomes = signals.has('outcomes') ? (this.outcomes ?? new OutcomeWindow()) : null;
    this.latencies = signals.has('latencies') ? (this.latencies ?? new Latencies()) : null;
    this.outputs = signals.has('outputs') ? (this.outputs ?? new OutputWindow()) : null;
    this.connections = signals.has('connections') ? (this.connections ?? new ConnectionEnds()) : null;
  }

  /** Drops what is too old at `nowMs`. */
  moveTo(nowMs: number): void {
    this.outcomes?.moveTo(nowMs);
    this.outputs?.moveTo(nowMs);
  }

  /** Drops everything seen of its calls so far. That a connection of it has ended is no reason to forget the one before. */
  forget(): void {
    this.outcomes?.clear();
    this.latencies?.clear();
    this.outputs?.clear();
  }
}
