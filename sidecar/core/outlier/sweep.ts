/**
 * One look at all endpoints of a pool by the detectors that need more than a row of faults: who is suspect, by which
 * detector and why. Pure: who is ejected in the end is the pool's decision (ejection-pool.ts).
 */

import { Detector, type DetectorSettings, type DetectorState } from './detectors.js';
import { judgeOutputs } from './invalid-output.js';
import { judgeLatencies, ratiosToPeers, slownessIn } from './latency.js';
import type { RingWindow } from './outcome-window.js';
import {
  callsIn,
  judgeFailureRatio,
  judgeSuccessRate,
  judgeSuccessRatio,
  successRatio,
  thresholdOf,
} from './success-rate.js';

export interface Suspect<Member extends DetectorState = DetectorState> {
  readonly member: Member;
  readonly detector: Detector;
  readonly mode: 'enforce' | 'observe';
  readonly why: string;
  /** Among those of one detector: higher goes first. */
  readonly severity: number;
}

interface Judged<Member extends DetectorState> {
  readonly member: Member;
  readonly window: RingWindow;
}

/** @param members the admitted ones: the ejected are neither judged nor measured by. */
export function findSuspects<Member extends DetectorState>(
  members: readonly Member[],
  settings: DetectorSettings,
  nowMs: number,
): readonly Suspect<Member>[] {
  const judged: Judged<Member>[] = [];
  for (const member of members) {
    const { window } = member;
    if (window === null) continue;
    window.moveTo(nowMs);
    judged.push({ member, window });
  }
  const suspects = [
    ...bySuccessRatio(judged, settings.successRatio),
    ...bySuccessRate(judged, settings.successRate),
    ...byFailureRatio(judged, settings.failureRatio),
    ...byLatency(members, settings.latency, nowMs),
    ...byOutput(members, settings.invalidOutput, nowMs),
  ];
  return suspects.sort((a, b) => a.detector - b.detector || b.severity - a.severity);
}

function suspectsOf<Member extends DetectorState>(
  judged: readonly Judged<Member>[],
  detector: Detector,
  mode: 'enforce' | 'observe',
  judge: (window: RingWindow) => string,
): Suspect<Member>[] {
  const found: Suspect<Member>[] = [];
  for (const { member, window } of judged) {
    const why = judge(window);
    if (why !== '') found.push({ member, detector, mode, why, severity: 1 - successRatio(window) });
  }
  return found;
}

function bySuccessRatio<Member extends DetectorState>(
  judged: readonly Judged<Member>[],
  settings: DetectorSettings['successRatio'],
): readonly Suspect<Member>[] {
  if (settings === undefined || settings.mode === 'off') return [];
  return suspectsOf(judged, Detector.successRatio, settings.mode, (window) =>
    judgeSuccessRatio(window, settings),
  );
}

function bySuccessRate<Member extends DetectorState>(
  judged: readonly Judged<Member>[],
  settings: DetectorSettings['successRate'],
): readonly Suspect<Member>[] {
  if (settings === undefined || settings.mode === 'off') return [];
  const windows = judged.map(({ window }) => window);
  const threshold = thresholdOf(windows, settings);
  return suspectsOf(judged, Detector.successRate, settings.mode, (window) =>
    judgeSuccessRate(window, settings, threshold),
  );
}

function byFailureRatio<Member extends DetectorState>(
  judged: readonly Judged<Member>[],
  settings: DetectorSettings['failureRatio'],
): readonly Suspect<Member>[] {
  if (settings === undefined || settings.mode === 'off') return [];
  const peers = judged.filter(({ window }) => callsIn(window) >= settings.minCalls).length;
  return suspectsOf(judged, Detector.failureRatio, settings.mode, (window) =>
    judgeFailureRatio(window, settings, peers),
  );
}

function byLatency<Member extends DetectorState>(
  members: readonly Member[],
  settings: DetectorSettings['latency'],
  nowMs: number,
): readonly Suspect<Member>[] {
  if (settings === undefined || settings.mode === 'off') return [];
  const { mode } = settings;
  const known = timed(members);
  const found = judgeLatencies(
    known.map(({ latencies }) => latencies),
    settings,
    nowMs,
  );
  return known.flatMap(({ member }, i) => {
    const slowness = found[i];
    if (slowness === undefined) return [];
    const severity = slowness.medianMs / slowness.peerLatencyMs;
    return [{ member, detector: Detector.latency, mode, why: slownessIn(slowness), severity }];
  });
}

/** The same in numbers, for people: of those that have a peer to be compared with, how many times as long they take. */
export function latencyRatios<Member extends DetectorState>(
  members: readonly Member[],
  settings: DetectorSettings['latency'],
  nowMs: number,
): ReadonlyMap<Member, number> {
  const found = new Map<Member, number>();
  if (settings === undefined || settings.mode === 'off') return found;
  const known = timed(members);
  const all = known.map(({ latencies }) => latencies);
  ratiosToPeers(all, settings.minCalls, nowMs).forEach((ratio, i) => {
    if (ratio !== undefined) found.set(known[i]!.member, ratio);
  });
  return found;
}

function timed<Member extends DetectorState>(members: readonly Member[]) {
  return members.flatMap((member) =>
    member.latencies === null ? [] : [{ member, latencies: member.latencies }],
  );
}

function byOutput<Member extends DetectorState>(
  members: readonly Member[],
  settings: DetectorSettings['invalidOutput'],
  nowMs: number,
): readonly Suspect<Member>[] {
  if (settings === undefined || settings.mode === 'off') return [];
  const { mode } = settings;
  return members.flatMap((member) => {
    const { outputs } = member;
    if (outputs === null) return [];
    outputs.moveTo(nowMs);
    const why = judgeOutputs(outputs, settings);
    if (why === '') return [];
    return [{ member, detector: Detector.invalidOutput, mode, why, severity: outputs.faults }];
  });
}
