import { type HalfHour, SLOT_MS } from '../../core/history/half-hour.js';
import { lettersOf } from '../../core/history/replica-state.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import { LATENCY_BOUNDS_MS } from '../../telemetry/call-stats.js';
import type { SidecarView } from '../view.js';
import type { CallHistory, EventKind, HistoryReport } from './history-report.js';
import { HistoryWriter, QUEUE_GAUGES, SELF } from './history-writer.js';

/** What the history is read from. */
export type SampledView = Pick<
  SidecarView,
  'service' | 'instance' | 'notReady' | 'endpoints' | 'queue' | 'model' | 'models' | 'lives' | 'callTotals'
>;

/** Keeps the last half hour of a sidecar: reads the counters that it has anyway every 5 s. Calls cost nothing. */
export class HistorySampler {
  private readonly writer: HistoryWriter;
  private readonly began: number;
  private timer: Timer | undefined;

  constructor(
    private readonly view: SampledView,
    private readonly clock: Clock,
    private readonly timers: Timers,
  ) {
    // Readings are in the middle of their slots, so that a timer that is late by less than half a slot misses none.
    this.writer = new HistoryWriter(undefined, clock.now() - SLOT_MS / 2);
    this.began = clock.wallNow();
  }

  start(): void {
    this.sample();
    this.arm();
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  /** What has been read, in slots of this process. */
  get history(): HalfHour {
    return this.writer.history;
  }

  /** From slots of this process to slots since the epoch, which pages draw by. */
  get slotsToWall(): number {
    const middleMs = this.clock.wallNow() - (this.clock.now() - this.writer.middleOf(this.history.last));
    // A reading in the middle of a slot covers half of the one before.
    return Math.floor((middleMs - SLOT_MS / 2) / SLOT_MS) - this.history.last;
  }

  /** @param since what is not newer than this slot is left out; absent: nothing is. */
  report(since = -1): HistoryReport {
    const { history, lastReadMs = 0 } = this.writer;
    const first = Math.max(history.first, Math.min(since, history.last) + 1);
    const slots = Array.from({ length: history.last - first + 1 }, (_, i) => first + i);
    const queue = history.gaugeNames.length === 0 ? {} : { queue: this.queue(slots) };
    return {
      began: this.began,
      first,
      slotMs: SLOT_MS,
      ageMs: Math.round(this.clock.now() - lastReadMs),
      spansMs: slots.map((slot) => Math.round(history.spanOf(slot))),
      boundsMs: LATENCY_BOUNDS_MS,
      calls: history.kinds.map((kind) => this.calls(kind, slots)),
      ...queue,
      self: lettersOf(slots.map((slot) => history.stateOf(slot, SELF))),
      endpoints: history.thingNames
        .filter((name) => name !== SELF)
        .map((name) => {
          const [upstream = '', endpoint = ''] = name.split('\n');
          return { upstream, endpoint, states: lettersOf(slots.map((slot) => history.stateOf(slot, name))) };
        }),
      events: history.events
        .filter(({ slot }) => slot >= first)
        .map((each) => ({ ...each, kind: each.kind as EventKind })),
    };
  }

  private queue(slots: readonly number[]) {
    const { history } = this.writer;
    const [running, waiting, concurrency] = QUEUE_GAUGES.map((gauge) =>
      slots.map((slot) => history.gaugeOf(slot, gauge) ?? 0),
    ) as [number[], number[], number[]];
    return { running, waiting, concurrency };
  }

  private calls(kind: string, slots: readonly number[]): CallHistory {
    const at = kind.indexOf(' ');
    const all = slots.map((slot) => this.writer.history.callsOf(slot, kind));
    return {
      direction: kind.slice(0, at) as CallHistory['direction'],
      service: kind.slice(at + 1),
      calls: all.map((each) => each?.calls ?? 0),
      failed: all.map((each) => each?.failed ?? 0),
      times: all.map((each) => withoutTail(each?.times ?? [])),
    };
  }

  private sample(): void {
    const { view } = this;
    const [model, models] = [view.model(), view.models()];
    const queue = view.queue();
    const seen = {
      service: view.service,
      notReady: view.notReady(),
      endpoints: view.endpoints(),
      lives: view.lives(),
      ...(model === undefined ? {} : { model }),
      ...(models.length > 1 ? { models } : {}),
      ...(queue === undefined ? {} : { queue }),
    };
    this.writer.read(this.clock.now(), view.instance, seen, view.callTotals());
  }

  /** To the middle of the next slot, not a period from now: delays do not add up. */
  private arm(): void {
    const nowMs = this.clock.now();
    const middleMs = this.writer.middleOf(this.writer.slotAt(nowMs) + 1);
    this.timer = this.timers.after(
      middleMs - nowMs,
      () => {
        this.sample();
        this.arm();
      },
      { unref: true },
    );
  }
}

/** Without the empty buckets at the end. */
function withoutTail(counts: ArrayLike<number>): number[] {
  let length = counts.length;
  while (length > 0 && counts[length - 1] === 0) length--;
  return Array.from({ length }, (_, i) => counts[i]!);
}
