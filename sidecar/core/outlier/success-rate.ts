/**
 * Who fails too many of its calls: by a fixed share, and by the share of its peers. All go by the same exact ring of
 * ten seconds, in which only successes and faults count.
 */
import type { RingWindow } from './outcome-window.js';

export interface SuccessRatioSettings {
  /** Below this share of successes an endpoint is suspect. */
  readonly below: number;
  readonly minCalls: number;
}

export interface SuccessRateSettings {
  /** How many standard deviations below the mean of all is too far. */
  readonly factor: number;
  /** Endpoints with enough calls, the judged one included, below which nobody is compared. */
  readonly minPeers: number;
  readonly minCalls: number;
}

export interface FailureRatioSettings {
  /** Above this share of faults an endpoint is suspect. */
  readonly above: number;
  readonly minPeers: number;
  readonly minCalls: number;
}

/** Peers that hardly ever fail have a deviation of nearly nothing: fewer faults than this convict nobody for being worse than they. */
export const MIN_FAULTS = 5;

/** Share of successes, 0 to 1; 1 while there is no call. */
export function successRatio({ successes, faults }: RingWindow): number {
  const calls = successes + faults;
  return calls === 0 ? 1 : successes / calls;
}

export function callsIn({ successes, faults }: RingWindow): number {
  return successes + faults;
}

/** A sentence for people when the window speaks against its endpoint; empty: it does not. */
export function judgeSuccessRatio(window: RingWindow, { below, minCalls }: SuccessRatioSettings): string {
  if (callsIn(window) < minCalls || successRatio(window) >= below) return '';
  return `success ratio ${percent(window)}`;
}

/** The same, for how many have enough calls to be compared. */
export function judgeFailureRatio(
  window: RingWindow,
  { above, minPeers, minCalls }: FailureRatioSettings,
  peers: number,
): string {
  if (peers < minPeers || callsIn(window) < minCalls || 1 - successRatio(window) <= above) return '';
  return `failure ratio ${(1 - successRatio(window)).toFixed(2)} over ${callsIn(window)} calls in 10 s`;
}

/** Below which success rate one is an outlier among all: mean − factor × population standard deviation (Envoy, gRFC A50). */
export function successRateThreshold(rates: readonly number[], factor: number): number {
  let sum = 0;
  for (const rate of rates) sum += rate;
  const mean = sum / rates.length;
  let squares = 0;
  for (const rate of rates) squares += (rate - mean) ** 2;
  return mean - factor * Math.sqrt(squares / rates.length);
}

/** The threshold for these windows; −1 when too few have enough calls. */
export function thresholdOf(windows: readonly RingWindow[], settings: SuccessRateSettings): number {
  const rates = windows.filter((window) => callsIn(window) >= settings.minCalls).map(successRatio);
  return rates.length < settings.minPeers ? -1 : successRateThreshold(rates, settings.factor);
}

export function judgeSuccessRate(
  window: RingWindow,
  settings: SuccessRateSettings,
  threshold: number,
): string {
  if (window.faults < MIN_FAULTS || callsIn(window) < settings.minCalls) return '';
  if (successRatio(window) >= threshold) return '';
  return `success rate ${percent(window)}, where its peers' spread allows ${threshold.toFixed(2)}`;
}

function percent(window: RingWindow): string {
  return `${successRatio(window).toFixed(2)} over ${callsIn(window)} calls in 10 s`;
}
