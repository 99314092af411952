import type { SweepDetector } from './detector.js';
import { type OutcomeWindow, ratioInWords } from './outcome-window.js';

/** When a success rate is too far below the mean (Envoy: `success_rate_*`). */
export interface SuccessRateSettings {
  /** Standard deviations below the mean of all endpoints from which on one is an outlier. */
  readonly factor: number;
  /** Endpoints with `minCalls`, the examined one included, below which none is compared. */
  readonly minPeers: number;
  /** Calls within 10 s below which an endpoint is not compared. */
  readonly minCalls: number;
}

/** Peers that hardly ever fail have next to no deviation: an endpoint with fewer faults than this is no outlier beside them. */
const MIN_FAULTS = 5;

/** A success rate far below that of the peers: Envoy's outlier detection and gRFC A50, "success rate". */
export const successRate: SweepDetector<OutcomeWindow, SuccessRateSettings> = {
  name: 'success-rate',
  goesByFaults: true,
  reads: 'outcomes',
  find(windows, settings) {
    const threshold = thresholdOf(windows, settings);
    return windows.map((window) => {
      const ratio = window.successRatio;
      if (window.faults < MIN_FAULTS || window.calls < settings.minCalls || ratio >= threshold)
        return undefined;
      const why = `success rate ${ratioInWords(ratio, window)}, where its peers' spread allows ${threshold.toFixed(2)}`;
      return { why, severity: 1 - ratio };
    });
  },
};

/** The success rate below which an endpoint is an outlier among these; −1 when too few of them have enough calls. */
export function thresholdOf(windows: readonly OutcomeWindow[], settings: SuccessRateSettings): number {
  const { factor, minPeers, minCalls } = settings;
  const rates = windows.filter(({ calls }) => calls >= minCalls).map((window) => window.successRatio);
  return rates.length < minPeers ? -1 : successRateThreshold(rates, factor);
}

/** Mean − factor × population standard deviation (Envoy, gRFC A50), in the unit of `rates`. */
export function successRateThreshold(rates: readonly number[], factor: number): number {
  const meanOf = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const mean = meanOf(rates);
  return mean - factor * Math.sqrt(meanOf(rates.map((rate) => (rate - mean) ** 2)));
}
