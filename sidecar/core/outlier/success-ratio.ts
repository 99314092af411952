import type { SweepDetector } from './detector.js';
import { type OutcomeWindow, ratioInWords } from './outcome-window.js';

/** When a share of successes is too small. */
export interface SuccessRatioSettings {
  /** An endpoint with a smaller share of successes is an outlier; 0 to 1. */
  readonly below: number;
  /** Calls within 10 s below which an endpoint is not examined. */
  readonly minCalls: number;
}

/** Too few successes by a fixed share, without peers to compare with: for the small pools that models have. */
export const successRatio: SweepDetector<OutcomeWindow, SuccessRatioSettings> = {
  name: 'success-ratio',
  goesByFaults: true,
  reads: 'outcomes',
  find: (windows, { below, minCalls }) =>
    windows.map((window) => {
      const ratio = window.successRatio;
      if (window.calls < minCalls || ratio >= below) return undefined;
      return { why: `success ratio ${ratioInWords(ratio, window)}`, severity: 1 - ratio };
    }),
};
