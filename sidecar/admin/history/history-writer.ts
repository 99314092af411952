import { CallDeltas, type CallTotals } from '../../core/history/call-deltas.js';
import { HalfHour, SLOT_MS } from '../../core/history/half-hour.js';
import { stateCode } from '../../core/history/replica-state.js';
import { endpointKey, endpointStateOf, happenedBetween, ownState, type Seen } from './seen.js';

/** The name of a sidecar's own state among those of its endpoints, whose keys have two parts. */
export const SELF = 'self';

export const QUEUE_GAUGES = ['running', 'waiting', 'concurrency'] as const;

/** Writes readings of one sidecar into its half hour: of this process, or of one that is asked. */
export class HistoryWriter {
  private readonly deltas = new CallDeltas();
  private before: Seen | undefined;
  private lastMs: number | undefined;

  constructor(
    readonly history = new HalfHour(),
    /** Time at which slot 0 begins, of the same clock as the times of readings. */
    private readonly originMs = 0,
  ) {}

  /** When the last reading was. */
  get lastReadMs(): number | undefined {
    return this.lastMs;
  }

  /** The slot of a time. */
  slotAt(nowMs: number): number {
    return Math.floor((nowMs - this.originMs) / SLOT_MS);
  }

  /** The middle of a slot, as a time. */
  middleOf(slot: number): number {
    return this.originMs + (slot + 0.5) * SLOT_MS;
  }

  /**
   * A reading. Two in one slot: the later one is not written, so that no slot counts twice; its calls belong to the next one.
   *
   * @param totals undefined: they are not known.
   */
  read(nowMs: number, name: string, seen: Seen, totals: readonly CallTotals[] | undefined): void {
    const slot = this.slotAt(nowMs);
    if (slot <= this.history.last) return;
    this.history.begin(slot, nowMs - (this.lastMs ?? nowMs - SLOT_MS));
    this.lastMs = nowMs;
    if (totals !== undefined)
      for (const each of this.deltas.since(totals)) this.history.setCalls(slot, each.kind, each);
    this.readStates(slot, name, seen);
    const { queue } = seen;
    if (queue !== undefined)
      for (const gauge of QUEUE_GAUGES) this.history.setGauge(slot, gauge, queue[gauge]);
  }

  /** Nothing could be read: the sidecar does not answer. */
  missed(nowMs: number): void {
    const slot = this.slotAt(nowMs);
    if (slot <= this.history.last) return;
    this.history.begin(slot, SLOT_MS);
    this.history.setState(slot, SELF, stateCode('down'));
  }

  private readStates(slot: number, name: string, seen: Seen): void {
    const { history, before } = this;
    history.setState(slot, SELF, stateCode(ownState(seen, before)));
    const known = new Map((before?.endpoints ?? []).map((each) => [endpointKey(each), each]));
    for (const each of seen.endpoints) {
      const key = endpointKey(each);
      // One endpoint may be in several clusters: it has the worst of its states.
      const code = stateCode(endpointStateOf(each, known.get(key)));
      history.setState(slot, key, Math.max(code, history.stateOf(slot, key)));
    }
    if (before !== undefined)
      for (const each of happenedBetween(name, before, seen)) history.addEvent({ ...each, slot });
    this.before = seen;
  }
}
