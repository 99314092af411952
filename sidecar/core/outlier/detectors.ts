import type { CallDetector, DetectorMode, SignalName, SweepDetector } from './detector.js';
import { failureRatio } from './failure-ratio.js';
import { invalidOutput } from './invalid-output.js';
import { latency } from './latency.js';
import { shortLived } from './short-lived.js';
import { successRate } from './success-rate.js';
import { successRatio } from './success-ratio.js';

/** Faults in a row; how many are too many is `EjectionSettings.consecutiveFaults`. */
const consecutive: CallDetector = { name: 'consecutive-faults', goesByFaults: true };
/** The endpoint's own sidecar reports that its model cannot serve. */
const modelUnavailable: CallDetector = { name: 'model-unavailable', goesByFaults: false };

/** All outlier detectors by the name of their settings, in the order in which the sweep applies them. One line adds one. */
export const DETECTORS = {
  consecutive,
  successRatio,
  successRate,
  failureRatio,
  latency,
  invalidOutput,
  shortLived,
  modelUnavailable,
} satisfies Record<string, CallDetector>;

type Key = keyof typeof DETECTORS;

/** Number of a detector: its place in `DETECTORS`. */
export type Detector = number;
export const Detector = Object.fromEntries(Object.keys(DETECTORS).map((key, i) => [key, i])) as Numbers;
type Numbers = Record<Key, Detector>;

/** Whether a health check that passes says nothing against the finding: it shows neither how fast nor how well the model answers. */
export function isBeyondChecks(detector: Detector): boolean {
  const { invalidOutput, latency, shortLived } = Detector;
  return detector === invalidOutput || detector === latency || detector === shortLived;
}

/** Names in metrics and reports, by number. */
export const DETECTOR_NAMES: readonly string[] = Object.values(DETECTORS).map(({ name }) => name);

interface WithMode {
  readonly mode: DetectorMode;
}

type SettingsOf<D> = D extends SweepDetector<never, infer Settings> ? Settings : unknown;

/** Settings by detector. Absent means `off`; for `consecutive` and `modelUnavailable`, `enforce`. */
export type DetectorSettings = { readonly [K in Key]?: WithMode & SettingsOf<(typeof DETECTORS)[K]> };

/** A detector of the sweep that is on, with its settings; their types belong together. */
export interface ActiveDetector {
  readonly number: Detector;
  readonly detector: SweepDetector<never, never>;
  readonly mode: 'enforce' | 'observe';
  readonly settings: never;
}

/** Whether a detector with these settings looks at all. */
export function isOn<S extends WithMode>(
  settings: S | undefined,
): settings is S & { readonly mode: 'enforce' | 'observe' } {
  return settings !== undefined && settings.mode !== 'off';
}

/** The detectors of the sweep that are on, in order. */
export function activeDetectors(settings: DetectorSettings | undefined): readonly ActiveDetector[] {
  const active: ActiveDetector[] = [];
  Object.entries(DETECTORS).forEach(([key, detector], number) => {
    const own = settings?.[key as Key];
    if (isOn(own) && 'find' in detector)
      active.push({ number, detector: detector as never, mode: own.mode, settings: own as never });
  });
  return active;
}

/** What these detectors read of an endpoint. */
export function signalsOf(detectors: readonly ActiveDetector[]): ReadonlySet<SignalName> {
  return new Set(detectors.map(({ detector }) => detector.reads));
}
