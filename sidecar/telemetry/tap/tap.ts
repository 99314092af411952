import type { LogFields } from '../../runtime/log/logger.js';
import { AccessLog, type CallClock } from '../access-log.js';
import type { EndedCall, Recorder } from '../call-record.js';
import { fits, type TapFilter } from './tap-filter.js';

/** Which calls a tap shows, and how many of them. */
export interface TapOptions {
  readonly filter: TapFilter;
  /** Share of the calls that fit, 0 to 1. */
  readonly sampleRatio: number;
  /** Calls per second at most; further ones are counted and not shown. */
  readonly perSecond: number;
}

/** What a tap takes from its surroundings. */
export interface TapClock extends CallClock {
  readonly clock: { wallNow(): number };
}

/** Where a tap writes to. */
export interface TapSink {
  /** False while it can take no more: the call is dropped and counted. */
  call(fields: LogFields): boolean;
  /** Once a second: how many calls that fitted were not shown since the last time. */
  dropped(count: number): void;
}

/** Opens a tap of a sidecar; undefined: too many are open. The function closes it, and may be called again. */
export type OpenTap = (options: TapOptions, sink: TapSink) => (() => void) | undefined;

/**
 * One open tap: shows the calls that end from now on and fit, as the access log has them, within its rate and as long as its reader keeps
 * up. It holds no call back and keeps none: what cannot be shown at once is counted.
 */
export class Tap implements Recorder {
  private readonly lines: AccessLog;
  /** Calls that may still be shown before the next `second`. */
  private leftThisSecond: number;
  /** Calls that fitted and were not shown since the last `second`. */
  private droppedNow = 0;
  /** False from the moment the reader took no more until the next `second`. */
  private hasRoom = true;

  constructor(
    private readonly options: TapOptions,
    private readonly sink: TapSink,
    /** The service of the sidecar. */
    service: string,
    private readonly source: TapClock,
  ) {
    this.leftThisSecond = options.perSecond;
    this.lines = new AccessLog((fields) => this.write(fields), 1, service, source);
  }

  /** A call has ended. The line is made only for one that will be shown: making it costs most. */
  record(call: EndedCall, status: number): void {
    const { filter, sampleRatio } = this.options;
    if (!fits(filter, call, status, this.source.nowMs)) return;
    if (sampleRatio < 1 && this.source.random() >= sampleRatio) return;
    if (this.leftThisSecond <= 0 || !this.hasRoom) {
      this.droppedNow++;
      return;
    }
    this.leftThisSecond--;
    this.lines.record(call, status);
  }

  /** To be called once a second: a new allowance, and the count of what was not shown. */
  second(): void {
    this.leftThisSecond = this.options.perSecond;
    this.hasRoom = true;
    const dropped = this.droppedNow;
    this.droppedNow = 0;
    this.sink.dropped(dropped);
  }

  /** Called by the line's maker, in the turn of the call's end. */
  private write(fields: LogFields): void {
    const time = new Date(this.source.clock.wallNow()).toISOString();
    if (this.sink.call({ time, ...fields })) return;
    this.hasRoom = false; // until the next second
    this.droppedNow++;
  }
}
