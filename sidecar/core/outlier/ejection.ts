/**
 * The words of outlier ejection and what is remembered of one endpoint: admitted → ejected → probing (one call)
 * → admitted. Who moves an endpoint from one state to another is the pool's decision (ejection-pool.ts).
 */
import { DETECTOR_NAMES, Detector, type DetectorSettings, DetectorState } from './detectors.js';

export interface EjectionSettings {
  /** Beside the faults in a row. Absent: none. */
  readonly detectors?: DetectorSettings;
  /** `observe` counts what would be ejected, and ejects nothing. */
  readonly mode: 'enforce' | 'observe';
  /** Faults in a row that eject. */
  readonly consecutiveFaults: number;
  readonly baseMs: number;
  readonly maxMs: number;
  /** The time out is varied by ± this share, so that a pool does not come back in one instant. */
  readonly jitter: number;
}

export const EjectionState = { admitted: 0, ejected: 1, probing: 2 } as const;
export type EjectionState = (typeof EjectionState)[keyof typeof EjectionState];

/**
 * What the end of an attempt is worth. `doubtful`: it rests on elapsed time, and our own event loop stood still meanwhile;
 * or the endpoint was never reached, which is known from its connections. `slow`: nothing is known but that another copy
 * of the call was faster.
 */
export const Evidence = { sound: 0, doubtful: 1, slow: 2 } as const;
export type Evidence = (typeof Evidence)[keyof typeof Evidence];

/**
 * What came of one recorded outcome. `observed`, `overCap`, `lastEligible`: the detector tripped, and nothing was ejected, for
 * this reason. `mended`: one that was kept for such a reason has shown that it is well.
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
} as const;
export type EjectionEvent = (typeof EjectionEvent)[keyof typeof EjectionEvent];

/** An attempt that is not a probe. */
export const NO_PROBE = 0;

/** One endpoint in the eyes of its pool. Fields are for reading; only the pool changes them. */
export class Ejection extends DetectorState {
  state: EjectionState = EjectionState.admitted;
  /** Connected, healthy and discovered, as the mesh says. Change it with `EjectionPool.setAvailable`. */
  isAvailable = true;
  /** When the present state began. Outcomes of attempts that began before it are history and not counted. */
  sinceMs = Number.NEGATIVE_INFINITY;
  /** While ejected: when a probe may go. While probing: when another one may. */
  untilMs = 0;
  consecutiveFaults = 0;
  /** Ejections in memory: the next lasts `baseMs` × (this + 1). Falls by one per `baseMs` of clean time. */
  count = 0;
  ejections = 0;
  /** Of these, by `Detector`. */
  readonly ejectionsBy = new Float64Array(DETECTOR_NAMES.length);
  /** Who found it out, the last time it was ejected, and why, in words. */
  detector: Detector = Detector.consecutive;
  why = '';
  /** It is out because it is certain that it cannot serve: no cap and no panic brings it back, only a trial. */
  isDown = false;
  /** Trials that failed since then. */
  failedTrials = 0;
  /** A detector of faults has found it out, and it stays for want of others. */
  ejectionSuppressed = false;
  /** Successes since its last fault, while it is kept. */
  successStreak = 0;
  /** @internal By `Detector`: the verdict that stands, while a detector keeps finding what ejected nobody. */
  readonly standing = new Uint8Array(DETECTOR_NAMES.length);
  /** @internal Number of the probe under way. */
  probe = NO_PROBE;

  /** What its faults have shown counts no longer. */
  forgetFaults(): void {
    this.window?.clear();
    this.ejectionSuppressed = false;
  }

  /** What was seen so far counts no longer. */
  override forget(): void {
    super.forget();
    this.consecutiveFaults = 0;
    this.ejectionSuppressed = false;
    this.standing.fill(0);
  }
}
