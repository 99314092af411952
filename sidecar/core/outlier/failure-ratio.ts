import type { SweepDetector } from './detector.js';
import { type OutcomeWindow, ratioInWords } from './outcome-window.js';

/** When a share of faults is too large. */
export interface FailureRatioSettings {
  /** An endpoint with a larger share of faults is an outlier; 0 to 1. */
  readonly above: number;
  /** Endpoints with `minCalls` below which none is examined. */
  readonly minPeers: number;
  /** Calls within 10 s below which an endpoint is not examined. */
  readonly minCalls: number;
}

/** Too many faults by a fixed share: the failure percentage of Envoy's outlier detection and gRFC A50. */
export const failureRatio: SweepDetector<OutcomeWindow, FailureRatioSettings> = {
  name: 'failure-ratio',
  goesByFaults: true,
  reads: 'outcomes',
  find(windows, { above, minPeers, minCalls }) {
    const peers = windows.filter(({ calls }) => calls >= minCalls).length;
    return windows.map((window) => {
      const ratio = 1 - window.successRatio;
      if (peers < minPeers || window.calls < minCalls || ratio <= above) return undefined;
      return { why: `failure ratio ${ratioInWords(ratio, window)}`, severity: ratio };
    });
  },
};
