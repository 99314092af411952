/** The detectors that find endpoints out: their names and settings, and what they remember of one endpoint. */

import { type OutputSettings, outputWindow } from './invalid-output.js';
import { Latencies, type LatencySettings } from './latency.js';
import { RingWindow } from './outcome-window.js';
import type { FailureRatioSettings, SuccessRateSettings, SuccessRatioSettings } from './success-rate.js';

/** In the order in which they are heard. */
export const Detector = {
  consecutive: 0,
  successRatio: 1,
  successRate: 2,
  failureRatio: 3,
  latency: 4,
  invalidOutput: 5,
  modelUnavailable: 6,
} as const;
export type Detector = (typeof Detector)[keyof typeof Detector];

export const DETECTOR_NAMES = [
  'consecutive-faults',
  'success-ratio',
  'success-rate',
  'failure-ratio',
  'latency',
  'invalid-output',
  'model-unavailable',
] as const;

/** `observe` counts what would be ejected, and ejects nothing. */
export type DetectorMode = 'enforce' | 'observe' | 'off';

interface WithMode {
  readonly mode: DetectorMode;
}

/** Absent is `off`; of faults in a row and of what a sidecar says of its model, `enforce`. */
export interface DetectorSettings {
  /** How many are too many, `EjectionSettings` says. */
  readonly consecutive?: WithMode;
  /** The endpoint's own sidecar says that its model cannot serve. */
  readonly modelUnavailable?: WithMode;
  readonly successRatio?: WithMode & SuccessRatioSettings;
  readonly successRate?: WithMode & SuccessRateSettings;
  readonly failureRatio?: WithMode & FailureRatioSettings;
  readonly latency?: WithMode & LatencySettings;
  readonly invalidOutput?: WithMode & OutputSettings;
}

export function isOn(detector: WithMode | undefined): boolean {
  return detector !== undefined && detector.mode !== 'off';
}

/** Whether any detector needs the ring of outcomes. */
export function needsWindow(settings: DetectorSettings | undefined): boolean {
  if (settings === undefined) return false;
  return isOn(settings.successRatio) || isOn(settings.successRate) || isOn(settings.failureRatio);
}

/** What detectors beside the faults in a row go by; each part null while none needs it. */
export class DetectorState {
  window: RingWindow | null = null;
  latencies: Latencies | null = null;
  outputs: RingWindow | null = null;

  /** Remembers from now on what these detectors need, and no more. */
  prepare(detectors: DetectorSettings | undefined): void {
    this.window = needsWindow(detectors) ? (this.window ?? new RingWindow()) : null;
    this.latencies = isOn(detectors?.latency) ? (this.latencies ?? new Latencies()) : null;
    this.outputs = isOn(detectors?.invalidOutput) ? (this.outputs ?? outputWindow()) : null;
  }

  forget(): void {
    this.window?.clear();
    this.latencies?.clear();
    this.outputs?.clear();
  }
}
