import { Outcome } from '../outcome/outcome.js';
import { areCommon, isCommon } from './common-failures.js';
import type { DetectorMode, Finding } from './detector.js';
import { EjectionCounts } from './detector-counts.js';
import { type ActiveDetector, activeDetectors, Detector, signalsOf } from './detectors.js';
import type { Ejection, EjectionSettings } from './ejection.js';
import { EjectionEvent, EjectionState, Evidence, NO_PROBE } from './ejection.js';
import { EjectionSet } from './ejection-set.js';
import { OutcomeWindow } from './outcome-window.js';
import { Room } from './room.js';
import { findSuspects, findWith, latencyRatios, type Suspect } from './sweep.js';

const { nothing, ejected, reEjected, readmitted, observed, overCap, lastEligible, othersFull, recovered } =
  EjectionEvent;
/** Shortest wait before the next probe after those that proved nothing, ms; it doubles up to `baseMs`. */
const PROBE_AGAIN_MS = 1_000;
/** Longest such wait after a probe that was over within `PROBE_AGAIN_MS`: it cost little, and the next call may prove more. */
const QUICK_AGAIN_MS = 4_000;
/** A cancelled probe that was shorter proves nothing of how long the endpoint takes, ms. */
const LONG_ENOUGH_MS = 100;
/** First probe of an endpoint that is down, ms; the wait doubles up to `baseMs`: a model restarts within seconds. */
const DOWN_MS = 500;
/** Successes in a row after which an endpoint whose ejection was suppressed has recovered: the outage of all is over. */
const RECOVERED_AFTER = 5;
/** Refusals as full, in ten seconds, from which on an endpoint takes no more than it has. */
const FULL_REFUSALS = 5;
/** So long after a failure that its request may have caused, endpoints are compared by such failures, ms. */
const COMPARED_MS = 10_000;
/** So long the comparison of one row of faults with the peers holds, ms. */
const COMMON_MS = 100;
const WHY_DOWN = 'its sidecar says that its model cannot serve';

type Mode = EjectionSettings['mode'];

/**
 * Decides which endpoints of a pool are ejected. Never more than half on statistics, never the last eligible one, and when
 * fewer than half are eligible the ejected ones get traffic again (panic); unless another pool can take the traffic over
 * (`members.hasAlternative`), for then all may be ejected. Connections, active health checks and discovery arrive as
 * `members.setAvailable`. After Envoy's outlier detection and linkerd2-proxy's breaker; the cap differs from both, because in pools
 * of two to eight endpoints theirs eject none or all. An endpoint that is certainly down does not count against the cap.
 */
export class EjectionPool {
  /** Which endpoints there are, their states, and which may get calls. */
  readonly members = new EjectionSet();
  readonly counts = new EjectionCounts();
  private active: readonly ActiveDetector[];
  /** Until then calls that were answered are counted, monotonic ms. */
  private comparesUntilMs = Number.NEGATIVE_INFINITY;

  constructor(
    private settings: EjectionSettings,
    private readonly random: () => number,
  ) {
    this.active = activeDetectors(settings.detectors);
  }

  /** Adds an endpoint. One that comes from another pool keeps its state; call `members.keepToCap` afterwards. */
  add(member: Ejection): void {
    member.prepare(signalsOf(this.active));
    if (this.settings.mode === 'observe') this.members.readmit(member, member.sinceMs);
    this.members.add(member);
  }

  /** New settings from now on. A change to `observe` readmits all endpoints. */
  configure(settings: EjectionSettings, nowMs: number): void {
    this.settings = settings;
    this.active = activeDetectors(settings.detectors);
    const signals = signalsOf(this.active);
    for (const member of this.members.all) {
      member.prepare(signals);
      if (settings.mode === 'observe') this.members.readmit(member, nowMs);
    }
  }

  /**
   * Counts the end of one attempt; faults in a row may eject.
   * @param startedMs when the attempt began, monotonic ms.
   * @param probe `member.probe` as `takeProbe` set it for the probing attempt; NO_PROBE for all others.
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
      const isProbe = probe !== NO_PROBE && member.state === EjectionState.probing && probe === member.probe;
      return isProbe ? this.endProbe(member, outcome, startedMs, nowMs, evidence) : nothing;
    }
    if (startedMs < member.sinceMs || evidence === Evidence.doubtful) return nothing;
    if (outcome === Outcome.success) {
      member.endRow();
      member.outcomes?.success(nowMs);
      if (nowMs < this.comparesUntilMs) answersOf(member).success(nowMs);
      return member.ejectionSuppressed ? this.countRecovery(member) : nothing;
    }
    if (outcome === Outcome.overload)
      member.outcomes?.overload(nowMs, evidence === Evidence.closed ? 'closed' : 'full');
    if (outcome !== Outcome.fault) return nothing;
    member.outcomes?.fault(nowMs);
    member.consecutiveFaults += 1;
    if (evidence === Evidence.answered) this.recordAnswered(member, nowMs);
    member.successStreak = 0;
    if (member.consecutiveFaults < this.settings.consecutiveFaults) return nothing;
    if (this.isRowCommon(member, nowMs)) return nothing;
    // Reset, so that the same faults are not reported again.
    member.endRow();
    // Calls of an endpoint that discovery removed may still end.
    if (!this.members.all.has(member)) return nothing;
    const mode = this.modeOf('consecutive');
    if (mode === 'off') return nothing;
    const event = this.decide(member, mode);
    this.counts.countDetected(Detector.consecutive, event);
    this.setReason(member, Detector.consecutive, `${this.settings.consecutiveFaults} faults in a row`);
    suppressIf(member, event);
    if (event === ejected) this.eject(member, nowMs);
    return event;
  }

  /**
   * Counts the end of an attempt in which the endpoint's own sidecar reported that its model cannot serve. The endpoint is
   * ejected at once, whatever the cap, unless it is the last one that could take a call; before that, one that was
   * ejected on statistics is readmitted.
   */
  recordDown(member: Ejection, startedMs: number, nowMs: number, probe: number): EjectionEvent {
    const mode = this.modeOf('modelUnavailable');
    if (mode === 'off' || member.state !== EjectionState.admitted) {
      if (mode === 'enforce' && probe !== NO_PROBE && probe === member.probe) {
        this.setReason(member, Detector.modelUnavailable, WHY_DOWN);
        this.members.markDown(member);
      }
      return this.record(member, Outcome.fault, startedMs, nowMs, probe, Evidence.sound);
    }
    if (startedMs < member.sinceMs || !this.members.all.has(member)) return nothing;
    const event = this.decideDown(member, mode, nowMs);
    suppressIf(member, event);
    const isNew = this.countFinding(member, Detector.modelUnavailable, event, WHY_DOWN);
    if (event === ejected) {
      member.isDown = true;
      this.eject(member, nowMs);
      return event;
    }
    const other = this.record(member, Outcome.fault, startedMs, nowMs, probe, Evidence.sound);
    return other === nothing && isNew ? event : other;
  }

  /** A health check of an endpoint that is down failed again: no call need probe it for another `baseMs`. */
  staysDown(member: Ejection, nowMs: number): void {
    if (member.isDown && member.state === EjectionState.ejected)
      this.members.ejectUntil(member, Math.max(member.untilMs, nowMs + this.settings.baseMs));
  }

  /**
   * Ends an ejection without a probe, because there were no calls and a health check has passed. That proves less than a
   * call, so the next fault ejects again.
   */
  readmitUnprobed(member: Ejection, nowMs: number): void {
    if (member.state !== EjectionState.ejected) return;
    this.members.admit(member, nowMs);
    member.consecutiveFaults = this.settings.consecutiveFaults - 1;
  }

  /**
   * Runs the detectors that compare endpoints or need a window; to be called about once a second while there is traffic.
   * @param onEvent gets each change; a finding that repeats without effect is reported and counted once.
   */
  sweep(nowMs: number, onEvent: (member: Ejection, event: EjectionEvent) => void): void {
    if (this.settings.detectors === undefined) return;
    this.readmitSlow(nowMs, onEvent);
    const { admitted } = this;
    const suspects = findSuspects(admitted, this.active, nowMs);
    for (const member of admitted)
      member.lastEvents.forEach((event, detector) => {
        if (event === nothing) return;
        if (!suspects.some((each) => each.member === member && each.detector === detector))
          member.lastEvents[detector] = nothing;
      });
    for (const member of admitted) member.slowness = 1;
    for (const suspect of suspects) {
      const { member, detector, mode, goesByFaults } = suspect;
      if (member.state !== EjectionState.admitted) continue;
      const finding = goesByFaults ? this.ownFinding(suspect, admitted, nowMs) : suspect;
      if (finding === undefined) continue;
      const { why, severity } = finding;
      // Its ejection was suppressed and it answers again: its next calls decide.
      if (goesByFaults && member.ejectionSuppressed && member.successStreak > 0) continue;
      let event = this.decide(member, this.settings.mode === 'observe' ? 'observe' : mode);
      if (event === ejected && mayBeNeeded(detector) && this.isNeeded(member, nowMs)) {
        event = othersFull;
        if (detector === Detector.latency) member.slowness = severity;
      }
      if (goesByFaults) suppressIf(member, event);
      if (!this.countFinding(member, detector, event, why)) continue;
      if (event === ejected) this.eject(member, nowMs);
      onEvent(member, event);
    }
  }

  /** By endpoint, its median latency over that of its peers, as the latency detector computes it; empty while that is off. */
  latencyRatios(nowMs: number): ReadonlyMap<Ejection, number> {
    return latencyRatios(this.admitted, this.settings.detectors?.latency, nowMs);
  }

  /**
   * Where others refuse calls as full, or report more calls than they can run, a slow answer is better than none: what is ejected because it is
   * slow, or because its connections are short-lived, gets calls again, as many as the balancer gives it, and is not ejected for that until
   * ten seconds after the last refusals, or five minutes after there was no room.
   */
  private readmitSlow(nowMs: number, onEvent: (member: Ejection, event: EjectionEvent) => void): void {
    if (this.members.ejected === 0) return;
    const { isCrowded } = this.roomAt(nowMs);
    if (!isCrowded && !this.isAnyFull(nowMs)) return;
    for (const member of this.members.all) {
      if (member.state === EjectionState.admitted || member.isDown || !mayBeNeeded(member.detector)) continue;
      this.members.admit(member, nowMs);
      if (isCrowded) member.slowUntilMs = nowMs + this.settings.maxMs;
      onEvent(member, readmitted);
    }
  }

  /** Whether one that answers most calls cannot be spared: another refuses calls as full, or the others report too little room for its share. */
  private isNeeded(member: Ejection, nowMs: number): boolean {
    if (nowMs < member.slowUntilMs || this.isAnyFull(nowMs, member)) return true;
    return !this.roomAt(nowMs, member).takesOneMore;
  }

  /** What those that get calls report of their load. */
  private roomAt(nowMs: number, but?: Ejection): Room {
    const room = new Room();
    for (const each of this.admitted)
      if (each !== but && each.isAvailable) room.add(each.utilizationAt(nowMs));
    return room;
  }

  /** Whether one that gets calls, other than this, refuses some as full. */
  isAnyFull(nowMs: number, but?: Ejection): boolean {
    return this.admitted.some((each) => {
      each.outcomes?.moveTo(nowMs);
      return each !== but && (each.outcomes?.full ?? 0) >= FULL_REFUSALS;
    });
  }

  /** A failure that its request may have caused. For as long as there are such, successes are counted beside them. */
  private recordAnswered(member: Ejection, nowMs: number): void {
    member.consecutiveAnswers += 1;
    this.comparesUntilMs = nowMs + COMPARED_MS;
    answersOf(member).fault(nowMs);
  }

  /**
   * Whether its faults in a row say more of the requests than of the endpoint, as its peers fail likewise. So many as eject that no request can have
   * caused are its own. While failures are common each call ends here: it is compared again when the row has doubled, or after a while.
   */
  private isRowCommon(member: Ejection, nowMs: number): boolean {
    const { consecutiveFaults: inRow } = member;
    if (inRow - member.consecutiveAnswers >= this.settings.consecutiveFaults) return false;
    if (inRow < member.commonBelow && nowMs < member.commonUntilMs) return true;
    if (!areCommon(inRow, inRow, member, this.members.all, nowMs)) return false;
    member.commonBelow = 2 * inRow;
    member.commonUntilMs = nowMs + COMMON_MS;
    return true;
  }

  /** What a detector of faults holds against an endpoint without those that its peers have too, as the requests cause them; undefined: nothing. */
  private ownFinding(
    suspect: Suspect<Ejection>,
    admitted: readonly Ejection[],
    nowMs: number,
  ): Finding | undefined {
    const { answers, outcomes } = suspect.member;
    if (nowMs >= this.comparesUntilMs || answers === null || outcomes === null) return suspect;
    answers.moveTo(nowMs);
    const { faults, calls } = answers;
    if (faults === 0 || !areCommon(faults, calls, suspect.member, this.members.all, nowMs)) return suspect;
    return findWith(suspect, outcomes.without(faults), admitted, this.active, nowMs);
  }

  private get admitted(): Ejection[] {
    return [...this.members.all].filter(({ state }) => state === EjectionState.admitted);
  }

  /** Mode of a detector that needs no sweep: its own, or that of the pool where that is `observe`. */
  private modeOf(detector: 'consecutive' | 'modelUnavailable'): DetectorMode {
    const own = this.settings.detectors?.[detector]?.mode ?? 'enforce';
    return own === 'enforce' ? this.settings.mode : own;
  }

  /** A success of an endpoint whose ejection was suppressed: enough of them stand for the probe it could not get. */
  private countRecovery(member: Ejection): EjectionEvent {
    member.successStreak += 1;
    if (member.successStreak < RECOVERED_AFTER) return nothing;
    member.forgetFaults();
    return recovered;
  }

  /** The effect of a finding: an ejection, or the reason against it. */
  private decide(member: Ejection, mode: Mode): EjectionEvent {
    if (mode === 'observe') return observed;
    if (this.members.othersThan(member) < 1 && !this.members.hasAlternative) return lastEligible;
    return this.members.hasRoom ? ejected : overCap;
  }

  /** The same for an endpoint that is down: the cap does not count, and an ejected one is readmitted in its place. */
  private decideDown(member: Ejection, mode: Mode, nowMs: number): EjectionEvent {
    if (mode === 'observe') return observed;
    if (this.members.hasAlternative || this.members.othersThan(member) > 0) return ejected;
    for (const other of this.members.all) {
      if (other.state === EjectionState.admitted || other.isDown || !other.isAvailable) continue;
      this.members.admit(other, nowMs);
      return ejected;
    }
    return lastEligible;
  }

  /** Counts a finding unless the last one of this detector had the same effect. Whether it counted. */
  private countFinding(member: Ejection, detector: Detector, event: EjectionEvent, why: string): boolean {
    const before = member.lastEvents[detector];
    if (event === before) return false;
    if (before === nothing) this.counts.countDetected(detector, event);
    else this.counts.countNotEnforced(detector, event);
    member.lastEvents[detector] = event;
    this.setReason(member, detector, why);
    return true;
  }

  private setReason(member: Ejection, detector: Detector, why: string): void {
    member.detector = detector;
    member.why = why;
  }

  private eject(member: Ejection, nowMs: number): void {
    this.members.countEjected(member);
    const cleanMs = nowMs - member.sinceMs;
    member.count = Math.max(0, member.count - Math.floor(cleanMs / this.settings.baseMs));
    member.failedProbes = 0;
    this.beginEjection(member, nowMs);
  }

  private endProbe(
    member: Ejection,
    outcome: Outcome,
    startedMs: number,
    nowMs: number,
    evidence: Evidence,
  ): EjectionEvent {
    if (!this.members.all.has(member)) return nothing;
    if (outcome === Outcome.success) {
      this.members.admit(member, nowMs);
      return readmitted;
    }
    const isFault = outcome === Outcome.fault;
    const isAnswered = evidence === Evidence.answered;
    const isOfRequest = isFault && isAnswered && isCommon(member, this.members.all, nowMs);
    if (isFault && (isAnswered || evidence === Evidence.sound) && !isOfRequest) {
      member.failedProbes += 1;
      this.beginEjection(member, nowMs);
      return reEjected;
    }
    member.state = EjectionState.ejected;
    const isRefused = outcome === Outcome.refusal || outcome === Outcome.overload;
    const isCancelled = outcome === Outcome.cancelled && nowMs - startedMs >= LONG_ENOUGH_MS;
    const isLong = evidence === Evidence.slow || (isCancelled && evidence === Evidence.sound);
    const waitMs = this.probeAgainMs(member, isRefused || isOfRequest || isLong);
    const wasQuick = !isLong && nowMs - startedMs < PROBE_AGAIN_MS;
    this.members.ejectUntil(member, nowMs + (wasQuick ? Math.min(waitMs, QUICK_AGAIN_MS) : waitMs));
    return nothing;
  }

  /**
   * Wait after a probe that proved nothing. One may be chance, and is repeated at once unless the next call would perhaps go no better. From the
   * second in a row on, waits double: an endpoint whose answers say nothing of it would otherwise get nearly every call.
   */
  private probeAgainMs(member: Ejection, waits: boolean): number {
    const doublings = member.inconclusiveProbes - (waits ? 0 : 1);
    member.inconclusiveProbes += 1;
    if (doublings < 0) return 0;
    return Math.min(PROBE_AGAIN_MS * 2 ** doublings, Math.max(PROBE_AGAIN_MS, this.settings.baseMs));
  }

  /** First ejection, or one more after a failed probe. */
  private beginEjection(member: Ejection, nowMs: number): void {
    const { baseMs, maxMs, jitter } = this.settings;
    this.counts.by[member.detector]!.enforced += 1;
    member.ejections += 1;
    member.ejectionsBy[member.detector]! += 1;
    member.inconclusiveProbes = 0;
    member.forget();
    member.connections?.clear();
    // Beyond the longest duration a higher count would only take longer to decay.
    if (!member.isDown && baseMs * member.count < maxMs) member.count += 1;
    member.state = EjectionState.ejected;
    member.sinceMs = nowMs;
    const durationMs = member.isDown
      ? Math.min(DOWN_MS * 2 ** member.failedProbes, baseMs)
      : Math.min(baseMs * member.count, maxMs);
    this.members.ejectUntil(member, nowMs + durationMs * (1 + jitter * (2 * this.random() - 1)));
  }
}

/** Whether an endpoint that this detector finds answers most calls all the same, so that it is better than none. */
function mayBeNeeded(detector: Detector): boolean {
  return detector === Detector.latency || detector === Detector.shortLived;
}

function answersOf(member: Ejection): OutcomeWindow {
  member.answers ??= new OutcomeWindow();
  return member.answers;
}

function suppressIf(member: Ejection, event: EjectionEvent): void {
  if (member.ejectionSuppressed) return;
  if (event !== lastEligible && event !== overCap) return;
  member.ejectionSuppressed = true;
  member.successStreak = 0;
}
