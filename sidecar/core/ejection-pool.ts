/**
 * Which endpoints have failed too often to get traffic. Never more than half of a pool are ejected, never the
 * last one, and when too few are left the ejected ones are used again; unless another pool stands ready to take the
 * traffic over (failover), for then all may go. Connections, active health and discovery are not judged here; they
 * are told as `isAvailable`. After Envoy's detector and linkerd's breaker; the cap is ours, for pools of two to
 * eight in which theirs eject nobody or everybody.
 */
import {
  type Ejection,
  type EjectionSettings,
  EjectionState,
  Evidence,
  NO_PROBE,
  Verdict,
} from './ejection.js';
import { Outcome } from './outcome.js';

/** Wait before the next probe when one was turned away: it proved nothing. */
const PROBE_AGAIN_MS = 1_000;

export class EjectionPool {
  private readonly members = new Set<Ejection>();
  private ejectedCount = 0;
  private eligibleCount = 0;
  private nextProbe = NO_PROBE;
  /** The earliest `untilMs` of the ejected: a probe is looked for only from then on. */
  private probeFromMs = Number.POSITIVE_INFINITY;

  /** Another pool has eligible endpoints for the same calls: neither the cap nor panic binds this one. */
  hasAlternative = false;
  /** Moves whenever `mayCall` may have changed for some member: read it for all of them again. */
  version = 0;
  /** The detector tripped, whether or not it led to an ejection. */
  detected = 0;
  enforced = 0;
  readonly notEnforced = { observed: 0, overCap: 0, lastEligible: 0 };

  constructor(
    private settings: EjectionSettings,
    private readonly random: () => number,
  ) {}

  get size(): number {
    return this.members.size;
  }
  /** Ejected or probing. */
  get ejected(): number {
    return this.ejectedCount;
  }
  /** Available and admitted. */
  get eligible(): number {
    return this.eligibleCount;
  }

  /** Most endpoints that may be ejected at once. */
  get cap(): number {
    return this.hasAlternative ? this.members.size : Math.max(1, this.members.size >> 1);
  }

  /** Fewer than half are eligible: the ejected ones get traffic again, for they may be no worse than the rest. */
  get isPanicking(): boolean {
    return !this.hasAlternative && this.eligibleCount * 2 < this.members.size && this.ejectedCount > 0;
  }

  /** New settings for what happens from now on. A change to `observe` re-admits everyone. */
  configure(settings: EjectionSettings, nowMs: number): void {
    this.settings = settings;
    if (settings.mode === 'observe') for (const member of this.members) this.readmit(member, nowMs);
  }

  add(member: Ejection): void {
    if (this.members.has(member)) return;
    this.members.add(member);
    this.version += 1;
    if (isEligible(member)) this.eligibleCount += 1;
    if (member.state === EjectionState.admitted) return;
    this.ejectedCount += 1;
    // It comes from another pool, and its time goes on.
    if (member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** Forgets an endpoint that discovery took away or put elsewhere. Those left may now be too many ejected: the nearest to its end comes back. */
  remove(member: Ejection, nowMs: number): void {
    if (!this.members.delete(member)) return;
    this.version += 1;
    if (isEligible(member)) this.eligibleCount -= 1;
    if (member.state !== EjectionState.admitted) this.ejectedCount -= 1;
    while (
      this.ejectedCount > this.cap ||
      (this.ejectedCount > 0 && this.ejectedCount === this.members.size && !this.hasAlternative)
    ) {
      let first: Ejection | undefined;
      for (const other of this.members) {
        if (other.state !== EjectionState.admitted && (first === undefined || other.untilMs < first.untilMs))
          first = other;
      }
      this.admit(first!, nowMs);
    }
  }

  setAvailable(member: Ejection, available: 'available' | 'unavailable'): void {
    const isAvailable = available === 'available';
    if (member.isAvailable === isAvailable) return;
    member.isAvailable = isAvailable;
    if (!this.members.has(member)) return;
    this.version += 1;
    if (member.state === EjectionState.admitted) this.eligibleCount += isAvailable ? 1 : -1;
    else if (isAvailable && member.untilMs < this.probeFromMs) this.probeFromMs = member.untilMs;
  }

  /** Whether calls may go to `member`: available, and admitted or in a panicking pool. Probes come by `takeProbe`. */
  mayCall(member: Ejection): boolean {
    return member.isAvailable && (member.state === EjectionState.admitted || this.isPanicking);
  }

  /**
   * An endpoint whose time is up and that this call shall probe, or undefined. The caller sends this one call
   * there, keeps `member.probe` with the attempt and must `record` its end, whatever it is.
   */
  takeProbe(nowMs: number): Ejection | undefined {
    if (nowMs < this.probeFromMs) return undefined;
    let due: Ejection | undefined;
    let fromMs = Number.POSITIVE_INFINITY;
    for (const member of this.members) {
      if (member.state !== EjectionState.ejected || !member.isAvailable) continue;
      if (due === undefined && member.untilMs <= nowMs) due = member;
      else if (member.untilMs < fromMs) fromMs = member.untilMs;
    }
    this.probeFromMs = fromMs;
    if (due === undefined) return undefined;
    this.nextProbe += 1;
    due.state = EjectionState.probing;
    due.probe = this.nextProbe;
    return due;
  }

  /**
   * Counts the end of one attempt.
   * @param startedMs when the attempt began.
   * @param probe `member.probe` as `takeProbe` left it, for the probing attempt; NO_PROBE for all others.
   */
  record(
    member: Ejection,
    outcome: Outcome,
    startedMs: number,
    nowMs: number,
    probe: number,
    evidence: Evidence,
  ): Verdict {
    if (member.state !== EjectionState.admitted) {
      if (probe === NO_PROBE || member.state !== EjectionState.probing || probe !== member.probe)
        return Verdict.nothing;
      return this.endProbe(member, outcome, nowMs, evidence);
    }
    if (startedMs < member.sinceMs || evidence === Evidence.doubtful) return Verdict.nothing;
    if (outcome === Outcome.success) {
      member.consecutiveFaults = 0;
      return Verdict.nothing;
    }
    if (outcome !== Outcome.fault) return Verdict.nothing;
    member.consecutiveFaults += 1;
    // Equality, and a reset at the trip: it is reported once, not again at every further fault.
    if (member.consecutiveFaults < this.settings.consecutiveFaults) return Verdict.nothing;
    member.consecutiveFaults = 0;
    return this.trip(member, nowMs);
  }

  /** Ends an ejection early, when better evidence than a probing call says that the endpoint is well. */
  readmit(member: Ejection, nowMs: number): void {
    if (member.state !== EjectionState.admitted) this.admit(member, nowMs);
  }

  /** Something says that an ejected endpoint may be well again: its trial is due now. */
  tryNow(member: Ejection, nowMs: number): void {
    if (member.state === EjectionState.ejected && member.untilMs > nowMs) this.outUntil(member, nowMs);
  }

  private trip(member: Ejection, nowMs: number): Verdict {
    // Calls of an endpoint that discovery took away may still end.
    if (!this.members.has(member)) return Verdict.nothing;
    this.detected += 1;
    if (this.settings.mode === 'observe') {
      this.notEnforced.observed += 1;
      return Verdict.observed;
    }
    const others = this.eligibleCount - (member.isAvailable ? 1 : 0);
    if (others < 1 && !this.hasAlternative) {
      this.notEnforced.lastEligible += 1;
      return Verdict.lastEligible;
    }
    if (this.ejectedCount + 1 > this.cap) {
      this.notEnforced.overCap += 1;
      return Verdict.overCap;
    }
    if (member.isAvailable) this.eligibleCount -= 1;
    this.ejectedCount += 1;
    const cleanMs = nowMs - member.sinceMs;
    member.count = Math.max(0, member.count - Math.floor(cleanMs / this.settings.baseMs));
    this.eject(member, nowMs);
    return Verdict.ejected;
  }

  private endProbe(member: Ejection, outcome: Outcome, nowMs: number, evidence: Evidence): Verdict {
    if (!this.members.has(member)) return Verdict.nothing;
    if (outcome === Outcome.success) {
      this.admit(member, nowMs);
      return Verdict.readmitted;
    }
    if (outcome === Outcome.fault && evidence === Evidence.sound) {
      this.eject(member, nowMs);
      return Verdict.reEjected;
    }
    member.state = EjectionState.ejected;
    const isTurnedAway = outcome === Outcome.refusal || outcome === Outcome.overload;
    this.outUntil(member, isTurnedAway ? nowMs + PROBE_AGAIN_MS : nowMs);
    return Verdict.nothing;
  }

  private eject(member: Ejection, nowMs: number): void {
    const { baseMs, maxMs, jitterRatio } = this.settings;
    this.enforced += 1;
    this.version += 1;
    member.ejections += 1;
    // Beyond the longest time a higher count would only delay forgetting.
    if (baseMs * member.count < maxMs) member.count += 1;
    member.state = EjectionState.ejected;
    member.sinceMs = nowMs;
    const durationMs = Math.min(baseMs * member.count, maxMs);
    this.outUntil(member, nowMs + durationMs * (1 + jitterRatio * (2 * this.random() - 1)));
  }

  private outUntil(member: Ejection, untilMs: number): void {
    member.probe = NO_PROBE;
    member.untilMs = untilMs;
    if (untilMs < this.probeFromMs) this.probeFromMs = untilMs;
  }

  private admit(member: Ejection, nowMs: number): void {
    member.state = EjectionState.admitted;
    member.sinceMs = nowMs;
    member.consecutiveFaults = 0;
    member.probe = NO_PROBE;
    this.version += 1;
    this.ejectedCount -= 1;
    if (member.isAvailable) this.eligibleCount += 1;
  }
}

function isEligible(member: Ejection): boolean {
  return member.isAvailable && member.state === EjectionState.admitted;
}
