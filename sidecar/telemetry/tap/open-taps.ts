import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { EndedCall, Recorder } from '../call-record.js';
import { Tap, type TapClock, type TapOptions, type TapSink } from './tap.js';

/** Taps that may be open at once: an operator or two, and a script. */
export const MAX_TAPS = 4;
const SECOND_MS = 1_000;

/**
 * The taps that are open. They are a recorder of calls while there is one; else calls are not told of it, and it has no timer.
 */
export class OpenTaps implements Recorder {
  private readonly taps = new Set<Tap>();
  /** Runs while a tap is open: the seconds of their allowances, all at once. */
  private timer: Timer | undefined;

  constructor(
    private readonly service: string,
    private readonly source: TapClock,
    private readonly timers: Timers,
    /** Called with this when the first tap opens, and with null when the last one closes. */
    private readonly onRecorder: (recorder: Recorder | null) => void,
  ) {}

  /** Opens a tap; undefined: there are too many. The function closes it, and may be called again. */
  open(options: TapOptions, sink: TapSink): (() => void) | undefined {
    if (this.taps.size >= MAX_TAPS) return undefined;
    const tap = new Tap(options, sink, this.service, this.source);
    this.taps.add(tap);
    if (this.taps.size === 1) {
      this.onRecorder(this);
      this.timer = this.timers.every(SECOND_MS, () => this.second(), { unref: true });
    }
    return () => this.close(tap);
  }

  /** A call has ended: each tap decides by itself. */
  record(call: EndedCall, status: number): void {
    for (const tap of this.taps) tap.record(call, status);
  }

  private second(): void {
    for (const tap of this.taps) tap.second();
  }

  /** The last one takes the recorder and the timer away, so that nothing of it is left. */
  private close(tap: Tap): void {
    if (!this.taps.delete(tap) || this.taps.size > 0) return;
    this.onRecorder(null);
    this.timer?.cancel();
    this.timer = undefined;
  }
}
