import { type Ejection, EjectionState, NO_PROBE } from './ejection.js';

/**
 * The endpoints of a pool with their ejection states, the counts of each state, and which may get calls. Which ones are
 * ejected is decided in ejection-pool.ts, the only caller of what changes a state.
 */
export class EjectionSet {
  /** In the order in which they came. For reading. */
  readonly all = new Set<Ejection>();
  /** Ejected on statistics; and ejected because they are certainly down. */
  private ejectedCount = 0;
  private downCount = 0;
  /** Available and admitted. Only this class changes it. */
  eligible = 0;
  private nextProbe = NO_PROBE;
  /** Earliest `untilMs` of the ejected: no probe is due before. */
  private probeFromMs = Number.POSITIVE_INFINITY;

  /** Another pool has eligible endpoints for the same calls: neither cap nor panic applies to this one. */
  hasAlternative = false;

  get size(): number {
    return this.all.size;
  }
  /** Ejected or probing. */
  get ejected(): number {
    return this.ejectedCount + this.downCount;
  }

  /** Most endpoints that may be ejected at once on statistics. */
  get cap(): number {
    return this.hasAlternative ? this.all.size : Math.max(1, this.all.size >> 1);
  }

  /** Fewer than half are eligible: the ejected ones get traffic again (Envoy's panic threshold). */
  get isPanicking(): boolean {
    return !this.hasAlternative && this.eligible * 2 < this.all.size && this.ejectedCount > 0;
  }

  /** Adds an endpoint with the state that it has. */
  add(member: Ejection): void {
    if (this.all.has(member)) return;
    this.all.add(member);
    if (isEligible(member)) this.eligible += 1;
    if (member.state === EjectionState.admitted) return;
    this.count(member, 1);
    if (member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** Removes an endpoint that discovery removed or moved, and readmits others where too many of the rest are ejected now. */
  remove(member: Ejection, nowMs: number): void {
    if (!this.all.delete(member)) return;
    if (isEligible(member)) this.eligible -= 1;
    if (member.state !== EjectionState.admitted) this.count(member, -1);
    this.keepToCap(nowMs);
  }

  /** Removes an endpoint that stays and may get no calls for now. A probe under way there decides nothing; the next is due once it is back. */
  park(member: Ejection, nowMs: number): void {
    this.remove(member, nowMs);
    if (member.state !== EjectionState.probing) return;
    member.state = EjectionState.ejected;
    member.probe = NO_PROBE;
    member.untilMs = nowMs;
  }

  /** Readmits those whose ejection ends soonest until no more than the cap, and not all, are ejected. */
  keepToCap(nowMs: number): void {
    while (this.ejectedCount > this.cap) this.admit(this.soonest()!, nowMs);
    if (this.ejected === 0 || this.ejected < this.all.size || this.hasAlternative) return;
    this.admit(this.soonest() ?? this.soonest('down')!, nowMs);
  }

  /** Of the ejected, or of those that are down, the one whose ejection ends soonest. */
  private soonest(which: 'ejected' | 'down' = 'ejected'): Ejection | undefined {
    let first: Ejection | undefined;
    for (const other of this.all) {
      if (other.state === EjectionState.admitted || other.isDown !== (which === 'down')) continue;
      if (first === undefined || other.untilMs < first.untilMs) first = other;
    }
    return first;
  }

  private count(member: Ejection, by: 1 | -1): void {
    if (member.isDown) this.downCount += by;
    else this.ejectedCount += by;
  }

  /** Connected, healthy and discovered, or not. */
  setAvailable(member: Ejection, available: 'available' | 'unavailable'): void {
    const isAvailable = available === 'available';
    if (member.isAvailable === isAvailable) return;
    member.isAvailable = isAvailable;
    if (!this.all.has(member)) return;
    if (member.state === EjectionState.admitted) this.eligible += isAvailable ? 1 : -1;
    else if (isAvailable && member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** On probation while others take the calls, or not. It counts as one that could take them. */
  setHeld(member: Ejection, held: 'held' | 'free'): void {
    const isHeld = held === 'held';
    if (member.isHeld === isHeld) return;
    member.isHeld = isHeld;
    const isOut = member.state !== EjectionState.admitted && this.all.has(member);
    if (!isHeld && isOut && member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** Whether calls may go to `member`: available, and admitted or in a pool that panics. Probes are `takeProbe`'s. */
  mayCall(member: Ejection): boolean {
    if (!member.isAvailable) return false;
    return member.state === EjectionState.admitted || (!member.isDown && this.isPanicking);
  }

  /** Whether an endpoint is due for a probe. @param mayProbe as of `takeProbe`. */
  isProbeDue(nowMs: number, mayProbe?: (member: Ejection) => boolean): boolean {
    return nowMs >= this.probeFromMs && this.due(nowMs, mayProbe) !== undefined;
  }

  /**
   * An endpoint whose ejection is over and that this call has to probe, or undefined. The caller sends this one call
   * to it, keeps `member.probe` with the attempt and must `record` its end, whatever that is.
   * @param overMs monotonic ms from which another call may probe it instead; the end of this one then no longer counts.
   * @param mayProbe whether this call could show how an endpoint fares; absent: it could for each.
   */
  takeProbe(
    nowMs: number,
    overMs = Number.POSITIVE_INFINITY,
    mayProbe?: (member: Ejection) => boolean,
  ): Ejection | undefined {
    if (nowMs < this.probeFromMs) return undefined;
    const due = this.due(nowMs, mayProbe);
    if (due === undefined) return undefined;
    this.nextProbe += 1;
    due.state = EjectionState.probing;
    due.probe = this.nextProbe;
    due.untilMs = overMs;
    return due;
  }

  /** An endpoint that is due for a probe; sets `probeFromMs` for the next one. */
  private due(nowMs: number, mayProbe?: (member: Ejection) => boolean): Ejection | undefined {
    let due: Ejection | undefined;
    let fromMs = Number.POSITIVE_INFINITY;
    for (const member of this.all) {
      if (member.state === EjectionState.admitted || !member.isAvailable || member.isHeld) continue;
      if (due === undefined && member.untilMs <= nowMs && mayProbe?.(member) !== false) due = member;
      if (member.untilMs < fromMs) fromMs = member.untilMs;
    }
    this.probeFromMs = fromMs;
    return due;
  }

  /** Ends an ejection early, on better evidence than a probe. */
  readmit(member: Ejection, nowMs: number): void {
    if (member.state !== EjectionState.admitted) this.admit(member, nowMs);
  }

  /** Drops the history of an admitted endpoint that reconnected. An ejected one still needs its probe. */
  forgetHistory(member: Ejection, nowMs: number): void {
    if (member.state === EjectionState.admitted) member.forgetOwn(nowMs);
  }

  /** An ejected endpoint may have recovered: its probe is due now. */
  probeNow(member: Ejection, nowMs: number): void {
    if (member.state !== EjectionState.ejected || member.untilMs <= nowMs) return;
    member.inconclusiveProbes = 0;
    this.ejectUntil(member, nowMs);
  }

  /** Eligible endpoints besides an admitted one. */
  othersThan(member: Ejection): number {
    return this.eligible - (member.isAvailable ? 1 : 0);
  }

  /** Sets when an ejected endpoint is due for a probe, monotonic ms. */
  ejectUntil(member: Ejection, untilMs: number): void {
    member.probe = NO_PROBE;
    member.untilMs = untilMs;
    if (untilMs < this.probeFromMs) this.probeFromMs = untilMs;
  }

  /** Whether one more may be ejected on statistics. */
  get hasRoom(): boolean {
    return this.ejectedCount < this.cap;
  }

  /** Adjusts the counts for an admitted endpoint that is ejected. */
  countEjected(member: Ejection): void {
    if (member.isAvailable) this.eligible -= 1;
    this.count(member, 1);
  }

  /** An ejected endpoint turns out to be down. */
  markDown(member: Ejection): void {
    if (member.isDown || !this.all.has(member)) return;
    this.count(member, -1);
    member.isDown = true;
    this.count(member, 1);
  }

  /** Readmits an ejected or probing endpoint, also one that has been removed and may come back. */
  admit(member: Ejection, nowMs: number): void {
    const isIn = this.all.has(member);
    if (isIn) this.count(member, -1);
    member.state = EjectionState.admitted;
    member.sinceMs = nowMs;
    member.forget();
    member.probe = NO_PROBE;
    member.isDown = false;
    if (isIn && member.isAvailable) this.eligible += 1;
  }
}

function isEligible(member: Ejection): boolean {
  return member.isAvailable && member.state === EjectionState.admitted;
}
