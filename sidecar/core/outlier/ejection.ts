import type { DetectorMode } from './detector.js';
import { DetectorState } from './detector-state.js';
import { DETECTORS, Detector, type DetectorSettings } from './detectors.js';
import { OutcomeWindow } from './outcome-window.js';

/** Settings of outlier ejection; times in ms. */
export interface EjectionSettings {
  /** Settings of the detectors. Absent: consecutive faults and model unavailable only. */
  readonly detectors?: DetectorSettings;
  /** `observe` counts what would be ejected and ejects nothing, whatever the mode of a detector. */
  readonly mode: Exclude<DetectorMode, 'off'>;
  /** Faults in a row that eject. */
  readonly consecutiveFaults: number;
  /** The n-th ejection in a row lasts n × `baseMs`, … */
  readonly baseMs: number;
  /** … at most this long. */
  readonly maxMs: number;
  /** Durations vary by ± this share, so that endpoints ejected together do not return together. */
  readonly jitter: number;
}

/** States of an endpoint: admitted → ejected → probing (by one call) → admitted or ejected. */
export const EjectionState = { admitted: 0, ejected: 1, probing: 2 } as const;
export type EjectionState = (typeof EjectionState)[keyof typeof EjectionState];

/**
 * How much the outcome of an attempt proves. `doubtful`: it rests on elapsed time while this process's event loop stood
 * still, or the endpoint was never reached, which its connections show already. `slow`: a hedge of the call was faster.
 * `answered`: the endpoint has answered, and the request may have caused the failure: it is sound unless the peers fail as well.
 * `closed`: it refused the call, and does not say that it has no place for it.
 */
export const Evidence = { sound: 0, doubtful: 1, slow: 2, answered: 3, closed: 4 } as const;
export type Evidence = (typeof Evidence)[keyof typeof Evidence];

/**
 * Effect of one recorded outcome or of one finding. `observed`, `overCap`, `lastEligible`, `othersFull`: an outlier that is not ejected,
 * for this reason. `recovered`: one whose ejection was suppressed for such a reason has answered enough calls.
 */
export const EjectionEvent = {
  nothing: 0,
  ejected: 1,
  reEjected: 2,
  readmitted: 3,
  observed: 4,
  overCap: 5,
  lastEligible: 6,
  recovered: 7,
  othersFull: 8,
} as const;
export type EjectionEvent = (typeof EjectionEvent)[keyof typeof EjectionEvent];

/** Probe number of an attempt that is not a probe. */
export const NO_PROBE = 0;

/** Ejection state of one endpoint. Fields are for reading; only its pool changes them. */
export class Ejection extends DetectorState {
  state: EjectionState = EjectionState.admitted;
  /** Connected, healthy and discovered. Change it with `EjectionSet.setAvailable`. */
  isAvailable = true;
  /** On probation, and others take the calls: nor does a call probe it. Change it with `EjectionSet.setHeld`. */
  isHeld = false;
  /** When the present state began, monotonic ms. Outcomes of attempts that began earlier do not count. */
  sinceMs = Number.NEGATIVE_INFINITY;
  /** While ejected: when a probe may go. While probing: when another one may. Monotonic ms. */
  untilMs = 0;
  consecutiveFaults = 0;
  /** Of these, those that the requests may have caused. */
  consecutiveAnswers = 0;
  /** @internal The peers fail likewise, as of the last comparison: it holds for rows shorter than this, until then, monotonic ms. */
  commonBelow = 0;
  commonUntilMs = Number.NEGATIVE_INFINITY;
  /** Calls of the last ten seconds that were answered, while some in the pool fail so that their requests may be at fault; null: none did yet. */
  answers: OutcomeWindow | null = null;
  /** The same from before it came back: no longer for or against it, but they say what requests did; null: there are none. */
  answersBefore: OutcomeWindow | null = null;
  /** The next ejection lasts `baseMs` × (this + 1). Falls by one per `baseMs` without an ejection. */
  count = 0;
  /** Ejections since the start. */
  ejections = 0;
  /** The same by `Detector`. */
  readonly ejectionsBy = new Float64Array(Object.keys(DETECTORS).length);
  /** The detector of the last ejection or finding, and its reason in one sentence. */
  detector: Detector = Detector.consecutive;
  why = '';
  /** Ejected because its own sidecar reported its model unavailable: neither cap nor panic readmits it, only a probe. */
  isDown = false;
  /** Probes that failed since it was ejected. */
  failedProbes = 0;
  /** Probes in a row that proved nothing, since its last ejection or since it may have recovered. */
  inconclusiveProbes = 0;
  /** It is slow and stays, because the others have no room for its calls: so many times slower than they; 1: it is not. */
  slowness = 1;
  /** It came back because the others had no room: until then, monotonic ms, it is not ejected by what may be needed (ejection-pool.ts). */
  slowUntilMs = Number.NEGATIVE_INFINITY;
  /** A detector of faults found it, and it stays admitted because too few others are left. */
  ejectionSuppressed = false;
  /** Successes in a row while that is so. */
  successStreak = 0;
  /** @internal By `Detector`: the event of the last finding, as long as the detector finds it again at each sweep. */
  readonly lastEvents = new Uint8Array(Object.keys(DETECTORS).length);
  /** @internal Number of the probe under way. */
  probe = NO_PROBE;

  /** What it has reported of its load: calls over calls that run at once, in the mean; undefined: nothing lately. */
  utilizationAt(_nowMs: number): number | undefined {
    return undefined;
  }

  /** Drops the faults seen so far. */
  forgetFaults(): void {
    this.outcomes?.clear();
    this.answers?.clear();
    this.answersBefore?.clear();
    this.ejectionSuppressed = false;
  }

  /** Its next fault is the first in a row. */
  endRow(): void {
    this.consecutiveFaults = 0;
    this.consecutiveAnswers = 0;
    this.commonBelow = 0;
  }

  /** Drops everything seen so far. */
  override forget(): void {
    super.forget();
    this.answers?.clear();
    this.answersBefore?.clear();
    this.endRow();
    this.ejectionSuppressed = false;
    this.slowness = 1;
    this.lastEvents.fill(0);
  }

  /** The same where it has come back, perhaps as another process. What it has answered goes on to say what requests did. */
  forgetOwn(nowMs: number): void {
    const { answers } = this;
    let before = this.answersBefore;
    if (answers !== null && answers.calls > 0) {
      before ??= new OutcomeWindow();
      before.add(answers, nowMs);
    }
    this.answersBefore = null;
    this.forget();
    this.answersBefore = before;
  }
}
