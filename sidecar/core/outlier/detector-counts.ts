/** How often each detector tripped, and what came of it. */
import { DETECTOR_NAMES, type Detector } from './detectors.js';
import { EjectionEvent } from './ejection.js';

export class DetectorCounts {
  /** It tripped, whether or not that led to an ejection. */
  detected = 0;
  enforced = 0;
  /** It tripped and nothing was ejected, for this reason. */
  readonly notEnforced = { observed: 0, overCap: 0, lastEligible: 0 };
}

export type NotEnforced = keyof DetectorCounts['notEnforced'];

export class EjectionCounts {
  /** By `Detector`. */
  readonly by: readonly DetectorCounts[] = DETECTOR_NAMES.map(() => new DetectorCounts());

  get detected(): number {
    return this.by.reduce((sum, { detected }) => sum + detected, 0);
  }
  get enforced(): number {
    return this.by.reduce((sum, { enforced }) => sum + enforced, 0);
  }
  get notEnforced(): Readonly<Record<NotEnforced, number>> {
    const sum = (reason: NotEnforced): number =>
      this.by.reduce((total, { notEnforced }) => total + notEnforced[reason], 0);
    return { observed: sum('observed'), overCap: sum('overCap'), lastEligible: sum('lastEligible') };
  }

  tripped(detector: Detector, verdict: EjectionEvent): void {
    this.by[detector]!.detected += 1;
    this.refused(detector, verdict);
  }

  /** A verdict that ejected nobody. */
  refused(detector: Detector, verdict: EjectionEvent): void {
    const { notEnforced } = this.by[detector]!;
    if (verdict === EjectionEvent.observed) notEnforced.observed += 1;
    else if (verdict === EjectionEvent.overCap) notEnforced.overCap += 1;
    else if (verdict === EjectionEvent.lastEligible) notEnforced.lastEligible += 1;
  }
}
