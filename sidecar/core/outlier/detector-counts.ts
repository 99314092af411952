import { DETECTORS, type Detector } from './detectors.js';
import { EjectionEvent } from './ejection.js';

/** How often one detector found an outlier, and the result. */
export class DetectorCounts {
  /** Outliers found, whether or not that led to an ejection. */
  detected = 0;
  /** Ejections. */
  enforced = 0;
  /** Outliers found and not ejected, by the reason. */
  readonly notEnforced = { observed: 0, overCap: 0, lastEligible: 0, othersFull: 0 };
}

/** The counts of a pool. */
export class EjectionCounts {
  /** By `Detector`. */
  readonly by: readonly DetectorCounts[] = Object.values(DETECTORS).map(() => new DetectorCounts());

  /** A detector found an outlier that it had not found before. */
  countDetected(detector: Detector, event: EjectionEvent): void {
    this.by[detector]!.detected += 1;
    this.countNotEnforced(detector, event);
  }

  /** Counts the reason when `event` is no ejection. */
  countNotEnforced(detector: Detector, event: EjectionEvent): void {
    const { notEnforced } = this.by[detector]!;
    if (event === EjectionEvent.observed) notEnforced.observed += 1;
    else if (event === EjectionEvent.overCap) notEnforced.overCap += 1;
    else if (event === EjectionEvent.lastEligible) notEnforced.lastEligible += 1;
    else if (event === EjectionEvent.othersFull) notEnforced.othersFull += 1;
  }
}
