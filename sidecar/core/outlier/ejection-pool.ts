/**
 * Which endpoints have failed too often to get traffic. Never more than half of a pool are ejected, never the
 * last one, and when too few are left the ejected ones are used again; unless another pool stands ready to take the
 * traffic over (failover), for then all may go. Connections, active health and discovery are not judged here; they
 * are told as `isAvailable`. After Envoy's detector and linkerd's breaker; the cap is ours, for pools of two to
 * eight in which theirs eject nobody or everybody. Who is certain to be down is no statistic: the cap does not protect
 * it, only that somebody has to be left.
 */

import { Outcome } from '../outcome/outcome.js';
import { EjectionCounts } from './detector-counts.js';
import { Detector } from './detectors.js';
import {
  type Ejection,
  EjectionEvent,
  type EjectionSettings,
  EjectionState,
  Evidence,
  NO_PROBE,
} from './ejection.js';
import { EjectionSet } from './ejection-set.js';
import { findSuspects, latencyRatios } from './sweep.js';

/** Wait before the next probe when one proved nothing and would perhaps have gone no better for the next call. */
const PROBE_AGAIN_MS = 1_000;
/** A probe whose caller leaves sooner says nothing at all. */
const LONG_ENOUGH_MS = 100;
/** The first trial of one that is down comes after this, each further one after twice as long, up to `baseMs`: a model starts again within seconds. */
const DOWN_MS = 500;

/** Whoever could not be ejected, and then answers so many calls well, is judged by what comes: an outage of all is over. */
const MENDED_AFTER = 5;

export class EjectionPool extends EjectionSet {
  readonly counts = new EjectionCounts();

  constructor(
    private settings: EjectionSettings,
    private readonly random: () => number,
  ) {
    super();
  }

  /** Detectors tripped, whether or not that led to an ejection; ejections; and what kept it from being one. */
  get detected(): number {
    return this.counts.detected;
  }
  get enforced(): number {
    return this.counts.enforced;
  }
  get notEnforced(): EjectionCounts['notEnforced'] {
    return this.counts.notEnforced;
  }
  override add(member: Ejection): void {
    member.prepare(this.settings.detectors);
    super.add(member);
  }

  /** New settings for what happens from now on. A change to `observe` re-admits everyone. */
  configure(settings: EjectionSettings, nowMs: number): void {
    this.settings = settings;
    for (const member of this.members) {
      member.prepare(settings.detectors);
      if (settings.mode === 'observe') this.readmit(member, nowMs);
    }
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
  ): EjectionEvent {
    if (member.state !== EjectionState.admitted) {
      if (probe === NO_PROBE || member.state !== EjectionState.probing || probe !== member.probe)
        return EjectionEvent.nothing;
      return this.endProbe(member, outcome, startedMs, nowMs, evidence);
    }
    if (startedMs < member.sinceMs || evidence === Evidence.doubtful) return EjectionEvent.nothing;
    if (outcome === Outcome.success) {
      member.consecutiveFaults = 0;
      member.window?.success(nowMs);
      return member.ejectionSuppressed ? this.answersAgain(member) : EjectionEvent.nothing;
    }
    if (outcome === Outcome.overload) member.window?.overload(nowMs);
    if (outcome !== Outcome.fault) return EjectionEvent.nothing;
    member.window?.fault(nowMs);
    member.consecutiveFaults += 1;
    member.successStreak = 0;
    // Equality, and a reset at the trip: it is reported once, not again at every further fault.
    if (member.consecutiveFaults < this.settings.consecutiveFaults) return EjectionEvent.nothing;
    member.consecutiveFaults = 0;
    // Calls of an endpoint that discovery took away may still end.
    if (!this.members.has(member)) return EjectionEvent.nothing;
    const { mode, detectors } = this.settings;
    const own = detectors?.consecutive?.mode ?? 'enforce';
    if (own === 'off') return EjectionEvent.nothing;
    const verdict = this.verdictOn(member, mode === 'observe' ? mode : own);
    this.counts.tripped(Detector.consecutive, verdict);
    this.note(member, Detector.consecutive, `${this.settings.consecutiveFaults} faults in a row`);
    keepIf(member, verdict);
    if (verdict === EjectionEvent.ejected) this.convict(member, nowMs);
    return verdict;
  }

  /**
   * Counts the end of an attempt whose answer leaves no doubt: the endpoint's own sidecar says that its model cannot
   * serve. It goes at once, whatever the cap says, unless it is the last one that could take a call; one that was
   * ejected on statistics comes back rather than that.
   */
  recordDown(member: Ejection, startedMs: number, nowMs: number, probe: number): EjectionEvent {
    const { mode, detectors } = this.settings;
    const own = detectors?.modelUnavailable?.mode ?? 'enforce';
    if (own === 'off' || member.state !== EjectionState.admitted) {
      if (own === 'enforce' && probe !== NO_PROBE && probe === member.probe) {
        this.note(member, Detector.modelUnavailable, WHY_DOWN);
        this.turnsOutDown(member);
      }
      return this.record(member, Outcome.fault, startedMs, nowMs, probe, Evidence.sound);
    }
    if (startedMs < member.sinceMs || !this.members.has(member)) return EjectionEvent.nothing;
    const verdict = this.downVerdict(member, mode === 'observe' ? mode : own, nowMs);
    keepIf(member, verdict);
    const before = member.standing[Detector.modelUnavailable];
    if (verdict !== before) {
      member.standing[Detector.modelUnavailable] = verdict;
      if (before === EjectionEvent.nothing) this.counts.tripped(Detector.modelUnavailable, verdict);
      else this.counts.refused(Detector.modelUnavailable, verdict);
      this.note(member, Detector.modelUnavailable, WHY_DOWN);
    }
    if (verdict === EjectionEvent.ejected) {
      member.isDown = true;
      this.convict(member, nowMs);
      return verdict;
    }
    const other = this.record(member, Outcome.fault, startedMs, nowMs, probe, Evidence.sound);
    return other === EjectionEvent.nothing && verdict !== before ? verdict : other;
  }

  /** One that is down says so itself: no call need find that out for as long as an ejection lasts. */
  staysDown(member: Ejection, nowMs: number): void {
    if (member.isDown && member.state === EjectionState.ejected)
      this.outUntil(member, Math.max(member.untilMs, nowMs + this.settings.baseMs));
  }

  /**
   * Ends an ejection for which there was no trial, because there were no calls: a check has passed. That says less than a
   * call, so the next fault ejects again.
   */
  readmitUntried(member: Ejection, nowMs: number): void {
    if (member.state !== EjectionState.ejected) return;
    this.admit(member, nowMs);
    member.consecutiveFaults = this.settings.consecutiveFaults - 1;
  }

  private downVerdict(member: Ejection, mode: 'enforce' | 'observe', nowMs: number): EjectionEvent {
    if (mode === 'observe') return EjectionEvent.observed;
    if (this.hasAlternative || this.othersThan(member) > 0) return EjectionEvent.ejected;
    for (const other of this.members) {
      if (other.state === EjectionState.admitted || other.isDown || !other.isAvailable) continue;
      this.admit(other, nowMs);
      return EjectionEvent.ejected;
    }
    return EjectionEvent.lastEligible;
  }

  /**
   * Lets the detectors look that need more than a row of faults; to be called about once a second while there is
   * traffic. `onVerdict` hears of every change: what stands and ejects nobody is told and counted once.
   */
  sweep(nowMs: number, onVerdict: (member: Ejection, verdict: EjectionEvent) => void): void {
    const { detectors, mode } = this.settings;
    if (detectors === undefined) return;
    const { admitted } = this;
    const suspects = findSuspects(admitted, detectors, nowMs);
    for (const member of admitted) {
      const { standing } = member;
      for (let detector = 0; detector < standing.length; detector += 1) {
        if (standing[detector] === EjectionEvent.nothing) continue;
        if (!suspects.some((each) => each.member === member && each.detector === detector))
          standing[detector] = EjectionEvent.nothing;
      }
    }
    for (const { member, detector, mode: own, why } of suspects) {
      if (member.state !== EjectionState.admitted) continue;
      // Kept so far, and answering: what comes next decides.
      if (member.ejectionSuppressed && member.successStreak > 0 && isOfFaults(detector)) continue;
      const verdict = this.verdictOn(member, mode === 'observe' ? mode : own);
      if (isOfFaults(detector)) keepIf(member, verdict);
      const before = member.standing[detector];
      if (verdict === before) continue;
      if (before === EjectionEvent.nothing) this.counts.tripped(detector, verdict);
      else this.counts.refused(detector, verdict);
      member.standing[detector] = verdict;
      this.note(member, detector, why);
      if (verdict === EjectionEvent.ejected) this.convict(member, nowMs);
      onVerdict(member, verdict);
    }
  }

  /** How many times as long as its peers each takes, as the latency detector judges it; of nobody where it is off. */
  latencyRatios(nowMs: number): ReadonlyMap<Ejection, number> {
    return latencyRatios(this.admitted, this.settings.detectors?.latency, nowMs);
  }

  /** The ejected are neither judged nor measured by. */
  private get admitted(): Ejection[] {
    return [...this.members].filter(({ state }) => state === EjectionState.admitted);
  }

  /** One that would have been ejected answers again: that is the trial it could not be given. */
  private answersAgain(member: Ejection): EjectionEvent {
    member.successStreak += 1;
    if (member.successStreak < MENDED_AFTER) return EjectionEvent.nothing;
    member.forgetFaults();
    return EjectionEvent.recovered;
  }

  /** What comes of a detector's finding. */
  private verdictOn(member: Ejection, mode: 'enforce' | 'observe'): EjectionEvent {
    if (mode === 'observe') return EjectionEvent.observed;
    if (this.othersThan(member) < 1 && !this.hasAlternative) return EjectionEvent.lastEligible;
    return this.hasRoom ? EjectionEvent.ejected : EjectionEvent.overCap;
  }

  private note(member: Ejection, detector: Detector, why: string): void {
    member.detector = detector;
    member.why = why;
  }

  private convict(member: Ejection, nowMs: number): void {
    this.leaves(member);
    const cleanMs = nowMs - member.sinceMs;
    member.count = Math.max(0, member.count - Math.floor(cleanMs / this.settings.baseMs));
    member.failedTrials = 0;
    this.eject(member, nowMs);
  }

  private endProbe(
    member: Ejection,
    outcome: Outcome,
    startedMs: number,
    nowMs: number,
    evidence: Evidence,
  ): EjectionEvent {
    if (!this.members.has(member)) return EjectionEvent.nothing;
    if (outcome === Outcome.success) {
      this.admit(member, nowMs);
      return EjectionEvent.readmitted;
    }
    if (outcome === Outcome.fault && evidence === Evidence.sound) {
      member.failedTrials += 1;
      this.eject(member, nowMs);
      return EjectionEvent.reEjected;
    }
    member.state = EjectionState.ejected;
    const isTurnedAway = outcome === Outcome.refusal || outcome === Outcome.overload;
    const isGivenUp = outcome === Outcome.cancelled && nowMs - startedMs >= LONG_ENOUGH_MS;
    const isBad = isTurnedAway || evidence === Evidence.slow || (isGivenUp && evidence === Evidence.sound);
    this.outUntil(member, isBad ? nowMs + PROBE_AGAIN_MS : nowMs);
    return EjectionEvent.nothing;
  }

  private eject(member: Ejection, nowMs: number): void {
    const { baseMs, maxMs, jitter } = this.settings;
    this.counts.by[member.detector]!.enforced += 1;
    member.ejections += 1;
    member.ejectionsBy[member.detector]! += 1;
    member.forget();
    // Beyond the longest time a higher count would only delay forgetting.
    if (!member.isDown && baseMs * member.count < maxMs) member.count += 1;
    member.state = EjectionState.ejected;
    member.sinceMs = nowMs;
    const durationMs = member.isDown
      ? Math.min(DOWN_MS * 2 ** member.failedTrials, baseMs)
      : Math.min(baseMs * member.count, maxMs);
    this.outUntil(member, nowMs + durationMs * (1 + jitter * (2 * this.random() - 1)));
  }
}

const WHY_DOWN = 'its sidecar says that its model cannot serve';

/** Of those that successes speak against. */
function isOfFaults(detector: Detector): boolean {
  return detector !== Detector.latency && detector !== Detector.invalidOutput;
}

function keepIf(member: Ejection, verdict: EjectionEvent): void {
  if (
    member.ejectionSuppressed ||
    (verdict !== EjectionEvent.lastEligible && verdict !== EjectionEvent.overCap)
  )
    return;
  member.ejectionSuppressed = true;
  member.successStreak = 0;
}
