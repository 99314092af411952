/** The length of a slot, ms. */
export const SLOT_MS = 5_000;
/** Slots that are kept: half an hour. */
export const SLOTS = 360;
/** Calls of one kind take 28 kB: 1.8 MB at most. More kinds are not kept. */
const MAX_CALL_SERIES = 64;
/** States take 360 bytes each: 0.2 MB at most. */
const MAX_STATE_SERIES = 512;
/** What happened, at most: a mesh that flaps takes no more memory than one that does not. */
const MAX_EVENTS = 200;

/** Calls that ended within one slot. */
export interface CallSlot {
  readonly calls: number;
  readonly failed: number;
  /** How many took how long, by bucket. */
  readonly times: ArrayLike<number>;
}

/** Something that happened, with the slot in which it was seen. */
export interface SlotEvent {
  readonly slot: number;
  readonly kind: string;
  /** The service that it is about. */
  readonly service: string;
  /** One sentence without its full stop. */
  readonly text: string;
}

/** Calls of one kind, slot by slot. */
class CallSeries {
  readonly calls = new Float32Array(SLOTS);
  readonly failed = new Float32Array(SLOTS);
  readonly times: Float32Array;
  /** The last slot with a call. */
  lastSlot = -1;

  constructor(readonly buckets: number) {
    this.times = new Float32Array(SLOTS * buckets);
  }

  clear(at: number): void {
    this.calls[at] = 0;
    this.failed[at] = 0;
    this.times.fill(0, at * this.buckets, (at + 1) * this.buckets);
  }
}

/** States of one thing, slot by slot. */
class StateSeries {
  readonly codes = new Uint8Array(SLOTS);
  lastSlot = -1;
}

/**
 * The last half hour in slots of 5 s: calls by kind, states, gauges, and what happened. Slots have numbers that only rise; a slot that nobody
 * wrote has the span 0. The memory is bounded, whatever comes.
 */
export class HalfHour {
  /** The newest slot; -1: none. */
  last = -1;
  private readonly spans = new Float32Array(SLOTS);
  private readonly series = new Map<string, CallSeries>();
  private readonly things = new Map<string, StateSeries>();
  private readonly gauges = new Map<string, Float32Array>();
  private happened: SlotEvent[] = [];

  /** Begins to write a slot. Slots between it and the newest one stay empty. One that is too old is not kept. @param spanMs time that it covers. */
  begin(slot: number, spanMs: number): void {
    // What is older than all slots is overwritten at once.
    for (let each = Math.max(this.last + 1, slot - SLOTS + 1); each <= slot; each++) this.clear(each % SLOTS);
    if (slot > this.last) this.last = slot;
    this.spans[slot % SLOTS] = spanMs;
    this.forget();
  }

  /** The oldest slot that may have been written. */
  get first(): number {
    return Math.max(0, this.last - SLOTS + 1);
  }

  /** The oldest slot that was written; -1: none. */
  get firstWritten(): number {
    for (let slot = this.first; slot <= this.last; slot++) if (this.spanOf(slot) > 0) return slot;
    return -1;
  }

  /** Calls of a kind that ended within a slot. */
  setCalls(slot: number, kind: string, { calls, failed, times }: CallSlot): void {
    let series = this.series.get(kind);
    if (series === undefined) {
      if (calls === 0 || this.series.size >= MAX_CALL_SERIES) return;
      series = new CallSeries(times.length);
      this.series.set(kind, series);
    }
    const at = slot % SLOTS;
    series.calls[at] = calls;
    series.failed[at] = failed;
    for (let i = 0; i < series.buckets; i++) series.times[at * series.buckets + i] = times[i] ?? 0;
    if (calls > 0) series.lastSlot = Math.max(series.lastSlot, slot);
  }

  /** The state of a thing in a slot. @param code higher is more severe; 0 is none. */
  setState(slot: number, thing: string, code: number): void {
    let states = this.things.get(thing);
    if (states === undefined) {
      if (this.things.size >= MAX_STATE_SERIES) return;
      states = new StateSeries();
      this.things.set(thing, states);
    }
    states.codes[slot % SLOTS] = code;
    states.lastSlot = Math.max(states.lastSlot, slot);
  }

  /** A number of a slot, such as calls that wait. There are few of them. */
  setGauge(slot: number, name: string, value: number): void {
    let values = this.gauges.get(name);
    if (values === undefined) {
      values = new Float32Array(SLOTS);
      this.gauges.set(name, values);
    }
    values[slot % SLOTS] = value;
  }

  addEvent(event: SlotEvent): void {
    this.happened.push(event);
    if (this.happened.length > MAX_EVENTS) this.happened.shift();
  }

  /** Kinds of calls, in the order in which they were first seen. */
  get kinds(): readonly string[] {
    return [...this.series.keys()];
  }

  get thingNames(): readonly string[] {
    return [...this.things.keys()];
  }

  hasThing(thing: string): boolean {
    return this.things.has(thing);
  }

  get gaugeNames(): readonly string[] {
    return [...this.gauges.keys()];
  }

  /** Oldest first. */
  get events(): readonly SlotEvent[] {
    return this.happened;
  }

  /** Time that a slot covers, ms; 0: it was not written, or is too old. */
  spanOf(slot: number): number {
    return this.has(slot) ? this.spans[slot % SLOTS]! : 0;
  }

  /** Undefined: there are none of this kind, or the slot was not written. `times` is a view, valid until the next write. */
  callsOf(slot: number, kind: string): CallSlot | undefined {
    const series = this.series.get(kind);
    if (series === undefined || this.spanOf(slot) === 0) return undefined;
    const at = slot % SLOTS;
    const times = series.times.subarray(at * series.buckets, (at + 1) * series.buckets);
    return { calls: series.calls[at]!, failed: series.failed[at]!, times };
  }

  /** 0: none. */
  stateOf(slot: number, thing: string): number {
    return this.has(slot) ? (this.things.get(thing)?.codes[slot % SLOTS] ?? 0) : 0;
  }

  /** Undefined: the slot was not written. */
  gaugeOf(slot: number, name: string): number | undefined {
    return this.spanOf(slot) === 0 ? undefined : this.gauges.get(name)?.[slot % SLOTS];
  }

  private has(slot: number): boolean {
    return slot <= this.last && slot > this.last - SLOTS && slot >= 0;
  }

  private clear(at: number): void {
    this.spans[at] = 0;
    for (const series of this.series.values()) series.clear(at);
    for (const { codes } of this.things.values()) codes[at] = 0;
    for (const values of this.gauges.values()) values[at] = 0;
  }

  /** What has had nothing for half an hour makes room, so that endpoints that come and go for weeks take no place. */
  private forget(): void {
    const { first } = this;
    for (const [kind, { lastSlot }] of this.series) if (lastSlot < first) this.series.delete(kind);
    for (const [thing, { lastSlot }] of this.things) if (lastSlot < first) this.things.delete(thing);
    while (this.happened[0] !== undefined && this.happened[0].slot < first) this.happened.shift();
  }
}
