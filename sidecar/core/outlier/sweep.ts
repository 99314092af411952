import type { Finding, SignalName } from './detector.js';
import type { DetectorState } from './detector-state.js';
import { type ActiveDetector, type Detector, type DetectorSettings, isOn } from './detectors.js';
import { ratiosToPeers } from './latency.js';
import type { OutcomeWindow } from './outcome-window.js';

/** An endpoint that a detector found. */
export interface Suspect<Member extends DetectorState = DetectorState> {
  readonly member: Member;
  readonly detector: Detector;
  readonly mode: 'enforce' | 'observe';
  /** One sentence. */
  readonly why: string;
  /** As of its detector. */
  readonly goesByFaults: boolean;
  /** As of its finding. */
  readonly severity: number;
}

/**
 * Applies the detectors to the endpoints of a pool. Pure: which suspects are ejected is decided in ejection-pool.ts.
 * @param members the admitted ones; ejected ones are neither examined nor compared with.
 * @returns suspects in the order of the detectors, and the most severe first for each.
 */
export function findSuspects<Member extends DetectorState>(
  members: readonly Member[],
  detectors: readonly ActiveDetector[],
  nowMs: number,
): readonly Suspect<Member>[] {
  for (const member of members) member.moveTo(nowMs);
  return detectors.flatMap(({ number, detector, mode, settings }) => {
    const { goesByFaults } = detector;
    const observed = withSignal(members, detector.reads);
    const signals = observed.map((member) => member[detector.reads]) as never[];
    return detector
      .find(signals, settings, nowMs)
      .flatMap((finding, i) => (finding === undefined ? [] : [{ member: observed[i]!, ...finding }]))
      .sort((a, b) => b.severity - a.severity)
      .map(({ member, why, severity }) => ({ member, detector: number, mode, why, severity, goesByFaults }));
  });
}

/** What the detector of a suspect would find if these were its outcomes; undefined: nothing. */
export function findWith<Member extends DetectorState>(
  { member, detector: number }: Suspect<Member>,
  outcomes: OutcomeWindow,
  members: readonly Member[],
  detectors: readonly ActiveDetector[],
  nowMs: number,
): Finding | undefined {
  const { detector, settings } = detectors.find((each) => each.number === number)!;
  const observed = withSignal(members, 'outcomes');
  const signals = observed.map((each) => (each === member ? outcomes : each.outcomes)) as never[];
  return detector.find(signals, settings, nowMs)[observed.indexOf(member)];
}

/** For reports: median latency of each member over that of its peers; only of members that have a peer to compare with. */
export function latencyRatios<Member extends DetectorState>(
  members: readonly Member[],
  settings: DetectorSettings['latency'],
  nowMs: number,
): ReadonlyMap<Member, number> {
  const found = new Map<Member, number>();
  if (!isOn(settings)) return found;
  const observed = withSignal(members, 'latencies');
  const all = observed.map(({ latencies }) => latencies!);
  ratiosToPeers(all, settings.minCalls, nowMs).forEach((ratio, i) => {
    if (ratio !== undefined) found.set(observed[i]!, ratio);
  });
  return found;
}

function withSignal<Member extends DetectorState>(members: readonly Member[], name: SignalName): Member[] {
  return members.filter((member) => member[name] !== null);
}
