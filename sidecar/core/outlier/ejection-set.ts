/**
 * The book of a pool: who is admitted, ejected or probed, how many of each there are, and who may get calls therefore.
 * Who is to be ejected is decided in ejection-pool.ts.
 */
import { type Ejection, EjectionState, NO_PROBE } from './ejection.js';

export class EjectionSet {
  protected readonly members = new Set<Ejection>();
  /** Ejected on statistics, and those that are certain to be down. */
  private ejectedCount = 0;
  private downCount = 0;
  private eligibleCount = 0;
  private nextProbe = NO_PROBE;
  /** The earliest `untilMs` of the ejected: a probe is looked for only from then on. */
  private probeFromMs = Number.POSITIVE_INFINITY;

  /** Another pool has eligible endpoints for the same calls: neither the cap nor panic binds this one. */
  hasAlternative = false;

  get size(): number {
    return this.members.size;
  }
  /** Ejected or probing. */
  get ejected(): number {
    return this.ejectedCount + this.downCount;
  }
  /** Of these, certain to be down. */
  get down(): number {
    return this.downCount;
  }
  /** Available and admitted. */
  get eligible(): number {
    return this.eligibleCount;
  }

  /** Most endpoints that may be ejected at once on statistics. */
  get cap(): number {
    return this.hasAlternative ? this.members.size : Math.max(1, this.members.size >> 1);
  }

  /** Fewer than half are eligible: the ejected ones get traffic again, for they may be no worse than the rest. */
  get isPanicking(): boolean {
    return !this.hasAlternative && this.eligibleCount * 2 < this.members.size && this.ejectedCount > 0;
  }

  /** Takes up an endpoint. One that comes from another pool keeps its state: `keepToCap` after that. */
  add(member: Ejection): void {
    if (this.members.has(member)) return;
    this.members.add(member);
    if (isEligible(member)) this.eligibleCount += 1;
    if (member.state === EjectionState.admitted) return;
    this.count(member, 1);
    // It comes from another pool, and its time goes on.
    if (member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** Forgets an endpoint that discovery took away or put elsewhere. Those left may now be too many ejected: the nearest to its end comes back. */
  remove(member: Ejection, nowMs: number): void {
    if (!this.members.delete(member)) return;
    if (isEligible(member)) this.eligibleCount -= 1;
    if (member.state !== EjectionState.admitted) this.count(member, -1);
    this.keepToCap(nowMs);
  }

  /** Too many may be ejected among those there are now: the nearest to their end come back. */
  keepToCap(nowMs: number): void {
    while (this.ejectedCount > this.cap) this.admit(this.nearest()!, nowMs);
    if (this.ejected === 0 || this.ejected < this.members.size || this.hasAlternative) return;
    this.admit(this.nearest() ?? this.nearest('down')!, nowMs);
  }

  /** Of the ejected, or of those that are down, the one whose time is over first. */
  private nearest(which: 'ejected' | 'down' = 'ejected'): Ejection | undefined {
    let first: Ejection | undefined;
    for (const other of this.members) {
      if (other.state === EjectionState.admitted || other.isDown !== (which === 'down')) continue;
      if (first === undefined || other.untilMs < first.untilMs) first = other;
    }
    return first;
  }

  private count(member: Ejection, by: 1 | -1): void {
    if (member.isDown) this.downCount += by;
    else this.ejectedCount += by;
  }

  setAvailable(member: Ejection, available: 'available' | 'unavailable'): void {
    const isAvailable = available === 'available';
    if (member.isAvailable === isAvailable) return;
    member.isAvailable = isAvailable;
    if (!this.members.has(member)) return;
    if (member.state === EjectionState.admitted) this.eligibleCount += isAvailable ? 1 : -1;
    else if (isAvailable && member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** Whether calls may go to `member`: available, and admitted or in a panicking pool. Probes come by `takeProbe`. */
  mayCall(member: Ejection): boolean {
    if (!member.isAvailable) return false;
    return member.state === EjectionState.admitted || (!member.isDown && this.isPanicking);
  }

  /** Whether a call should probe somebody. */
  isProbeDue(nowMs: number): boolean {
    return nowMs >= this.probeFromMs && this.due(nowMs) !== undefined;
  }

  /**
   * An endpoint whose time is up and that this call shall probe, or undefined. The caller sends this one call
   * there, keeps `member.probe` with the attempt and must `record` its end, whatever it is.
   * @param overMs from then on another call may probe it instead, and this one's end counts no longer.
   */
  takeProbe(nowMs: number, overMs = Number.POSITIVE_INFINITY): Ejection | undefined {
    if (nowMs < this.probeFromMs) return undefined;
    const due = this.due(nowMs);
    if (due === undefined) return undefined;
    this.nextProbe += 1;
    due.state = EjectionState.probing;
    due.probe = this.nextProbe;
    due.untilMs = overMs;
    return due;
  }

  private due(nowMs: number): Ejection | undefined {
    let due: Ejection | undefined;
    let fromMs = Number.POSITIVE_INFINITY;
    for (const member of this.members) {
      if (member.state === EjectionState.admitted || !member.isAvailable) continue;
      if (due === undefined && member.untilMs <= nowMs) due = member;
      if (member.untilMs < fromMs) fromMs = member.untilMs;
    }
    this.probeFromMs = fromMs;
    return due;
  }

  /** Ends an ejection early, when better evidence than a probing call says that the endpoint is well. */
  readmit(member: Ejection, nowMs: number): void {
    if (member.state !== EjectionState.admitted) this.admit(member, nowMs);
  }

  /** What an endpoint showed before it was away counts no more, for what kept it away is over. An ejected one has yet to show it. */
  forgive(member: Ejection): void {
    if (member.state === EjectionState.admitted) member.forget();
  }

  /** Something says that an ejected endpoint may be well again: its trial is due now. */
  tryNow(member: Ejection, nowMs: number): void {
    if (member.state === EjectionState.ejected && member.untilMs > nowMs) this.outUntil(member, nowMs);
  }

  /** Eligible ones beside an admitted one. */
  protected othersThan(member: Ejection): number {
    return this.eligibleCount - (member.isAvailable ? 1 : 0);
  }

  protected outUntil(member: Ejection, untilMs: number): void {
    member.probe = NO_PROBE;
    member.untilMs = untilMs;
    if (untilMs < this.probeFromMs) this.probeFromMs = untilMs;
  }

  /** Whether one more may be ejected on statistics. */
  protected get hasRoom(): boolean {
    return this.ejectedCount < this.cap;
  }

  /** An admitted one goes. */
  protected leaves(member: Ejection): void {
    if (member.isAvailable) this.eligibleCount -= 1;
    this.count(member, 1);
  }

  /** An ejected one turns out to be down. */
  protected turnsOutDown(member: Ejection): void {
    if (member.isDown || !this.members.has(member)) return;
    this.count(member, -1);
    member.isDown = true;
    this.count(member, 1);
  }

  protected admit(member: Ejection, nowMs: number): void {
    member.state = EjectionState.admitted;
    member.sinceMs = nowMs;
    member.forget();
    member.probe = NO_PROBE;
    this.count(member, -1);
    member.isDown = false;
    if (member.isAvailable) this.eligibleCount += 1;
  }
}

function isEligible(member: Ejection): boolean {
  return member.isAvailable && member.state === EjectionState.admitted;
}
