import type { HistoryReport } from '../../admin/history/history-report.js';
import { HistoryWriter, QUEUE_GAUGES, SELF } from '../../admin/history/history-writer.js';
import { type Happened, happenedBetween, type Seen } from '../../admin/history/seen.js';
import type { CallTotals } from '../../core/history/call-deltas.js';
import { HalfHour, SLOT_MS } from '../../core/history/half-hour.js';
import { codeOfLetter } from '../../core/history/replica-state.js';
import { LATENCY_BOUNDS_MS } from '../../telemetry/call-stats.js';

/** The slot of a wall-clock time. All sidecars of a page share these slots. */
export function pageSlot(wallMs: number): number {
  return Math.floor(wallMs / SLOT_MS);
}

/**
 * The last half hour of one sidecar as the page has it: what the sidecar kept itself, and where it keeps nothing, what the page has seen since
 * it was opened. It outlives the process of the sidecar.
 */
export class SidecarHistory {
  readonly history = new HalfHour();
  private readonly writer = new HistoryWriter(this.history);
  private began: number | undefined;
  /** From slots of the sidecar to those of the page. */
  private offset = 0;
  private lastSlot = -1;
  private isGone = false;
  private before: Seen | undefined;

  /** The newest slot that is known of the sidecar, in its own numbers: what to ask it for begins after it. */
  get since(): number {
    return this.lastSlot;
  }

  /** Whether the sidecar keeps a history itself. */
  get isKept(): boolean {
    return this.began !== undefined;
  }

  /**
   * What the sidecar gave for `since`, and its status of now. What happened before the page was opened is in its history; what happens
   * meanwhile the page sees sooner by itself, as it looks more often than the sidecar writes.
   */
  takeReport(name: string, report: HistoryReport, seen: Seen, wallMs: number): void {
    this.isGone = false;
    const isFirst = report.began !== this.began;
    if (!isFirst && this.lastSlot !== -1 && this.before !== undefined)
      for (const each of happenedBetween(name, this.before, seen)) this.note(each, wallMs);
    this.before = seen;
    if (isFirst) {
      const hadAsked = this.lastSlot;
      [this.began, this.lastSlot] = [report.began, -1];
      // Of another process, and not from its beginning: it is asked again for everything.
      if (hadAsked !== -1) return;
      this.offset = this.offsetOf(report, wallMs);
    }
    const { first, spansMs } = report;
    if (spansMs.length === 0) return;
    // Clocks of two machines drift; a shift of one slot back and forth would tear the lines.
    const offset = this.offsetOf(report, wallMs);
    if (Math.abs(offset - this.offset) > 1) this.offset = offset;
    spansMs.forEach((spanMs, i) => {
      if (spanMs > 0) this.takeSlot(report, i, first + i + this.offset);
    });
    if (this.lastSlot === -1)
      for (const event of report.events) this.history.addEvent({ ...event, slot: event.slot + this.offset });
    this.lastSlot = first + spansMs.length - 1;
  }

  /** What the page sees itself, of a sidecar that keeps nothing. */
  takeReading(name: string, seen: Seen, totals: readonly CallTotals[] | undefined, wallMs: number): void {
    this.isGone = false;
    this.writer.read(wallMs, name, seen, totals);
  }

  /** It does not answer. */
  missed(name: string, service: string | undefined, wallMs: number): void {
    this.writer.missed(wallMs);
    if (this.isGone || service === undefined) return;
    this.isGone = true;
    this.note({ kind: 'gone', service, text: `${name} does not answer` }, wallMs);
  }

  /** Something that the page has seen by itself. */
  note(what: Happened, wallMs: number): void {
    this.history.addEvent({ ...what, slot: pageSlot(wallMs) });
  }

  private offsetOf({ first, spansMs, ageMs }: HistoryReport, wallMs: number): number {
    // A slot is named by the middle of the time that it covers.
    return pageSlot(wallMs - ageMs - SLOT_MS / 2) - (first + spansMs.length - 1);
  }

  private takeSlot(report: HistoryReport, i: number, slot: number): void {
    const { history } = this;
    if (slot < 0) return;
    history.begin(slot, report.spansMs[i]!);
    for (const { direction, service, calls, failed, times } of report.calls)
      history.setCalls(slot, `${direction} ${service}`, {
        calls: calls[i] ?? 0,
        failed: failed[i] ?? 0,
        times: widened(report.boundsMs, times[i] ?? []),
      });
    history.setState(slot, SELF, codeOfLetter(report.self[i] ?? '-'));
    for (const { upstream, endpoint, states } of report.endpoints)
      history.setState(slot, `${upstream}\n${endpoint}`, codeOfLetter(states[i] ?? '-'));
    if (report.queue !== undefined)
      for (const gauge of QUEUE_GAUGES) history.setGauge(slot, gauge, report.queue[gauge][i] ?? 0);
  }
}

/** All buckets again; none where a sidecar of another version has others. */
function widened(boundsMs: readonly number[], times: readonly number[]): ArrayLike<number> {
  const all = new Float64Array(LATENCY_BOUNDS_MS.length + 1);
  const isOurs =
    boundsMs.length === LATENCY_BOUNDS_MS.length && boundsMs.every((ms, i) => ms === LATENCY_BOUNDS_MS[i]);
  if (isOurs) all.set(times.slice(0, all.length));
  return all;
}
