/** Pools of endpoints and ends of calls, for tests of outlier ejection. */
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import type { DetectorCounts } from '../../../sidecar/core/outlier/detector-counts.js';
import type { DetectorSettings } from '../../../sidecar/core/outlier/detectors.js';
import type { EjectionSettings } from '../../../sidecar/core/outlier/ejection.js';
import { Ejection, EjectionEvent, Evidence, NO_PROBE } from '../../../sidecar/core/outlier/ejection.js';
import { EjectionPool } from '../../../sidecar/core/outlier/ejection-pool.js';
import { OutcomeWindow } from '../../../sidecar/core/outlier/outcome-window.js';
import { constant } from '../time/seeded-random.js';

/** The defaults of the configuration. */
export const EJECTION_SETTINGS: EjectionSettings = {
  mode: 'enforce',
  consecutiveFaults: 5,
  baseMs: 30_000,
  maxMs: 300_000,
  jitter: 0.1,
};

/** Every detector, with the defaults of the configuration. */
export const ALL_DETECTORS: Required<DetectorSettings> = {
  consecutive: { mode: 'enforce' },
  modelUnavailable: { mode: 'enforce' },
  successRatio: { mode: 'enforce', below: 0.8, minCalls: 5 },
  successRate: { mode: 'enforce', factor: 1.9, minPeers: 5, minCalls: 100 },
  failureRatio: { mode: 'enforce', above: 0.85, minPeers: 5, minCalls: 50 },
  latency: { mode: 'enforce', factor: 3, minCalls: 20 },
  invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 5 },
  shortLived: { mode: 'enforce', minConnections: 2 },
};

/** A pool of `count` admitted endpoints; by default a random number of 0.5, which is no jitter. */
export function ejectionPool(
  count: number,
  settings: Partial<EjectionSettings> = {},
  random = constant(0.5),
) {
  const pool = new EjectionPool({ ...EJECTION_SETTINGS, ...settings }, random);
  const members = Array.from({ length: count }, () => new Ejection());
  for (const member of members) pool.add(member);
  const [a, b, c, d] = members as [Ejection, Ejection, Ejection, Ejection];
  return { pool, members, a, b, c, d };
}

/** One attempt that ends at `nowMs`; by default it began just then, is no probe, and its outcome is sound. */
export function end(
  pool: EjectionPool,
  member: Ejection,
  outcome: keyof typeof Outcome,
  nowMs: number,
  { startedMs = nowMs, probe = NO_PROBE as number, evidence = Evidence.sound as Evidence } = {},
): EjectionEvent {
  return pool.record(member, Outcome[outcome], startedMs, nowMs, probe, evidence);
}

/** One attempt at whose end the endpoint's sidecar reports its model unavailable. */
export function down(pool: EjectionPool, member: Ejection, nowMs = 0, probe = NO_PROBE): EjectionEvent {
  return pool.recordDown(member, nowMs, nowMs, probe);
}

/** A sweep of all detectors; the events of what they find. */
export function sweep(pool: EjectionPool, nowMs: number): EjectionEvent[] {
  const events: EjectionEvent[] = [];
  pool.sweep(nowMs, (_member, event) => void events.push(event));
  return events;
}

/** What the detectors of a pool found, in sum, and what came of it. */
export function findingsOf({ counts }: EjectionPool) {
  const sum = (of: (each: DetectorCounts) => number): number =>
    counts.by.reduce((total, each) => total + of(each), 0);
  return {
    detected: sum(({ detected }) => detected),
    enforced: sum(({ enforced }) => enforced),
    observed: sum(({ notEnforced }) => notEnforced.observed),
    overCap: sum(({ notEnforced }) => notEnforced.overCap),
    lastEligible: sum(({ notEnforced }) => notEnforced.lastEligible),
  };
}

/** So many faults in a row at `nowMs`; the event of the last one. */
export function fail(pool: EjectionPool, member: Ejection, nowMs = 0, times = 5): EjectionEvent {
  let event: EjectionEvent = EjectionEvent.nothing;
  for (let i = 0; i < times; i += 1) event = end(pool, member, 'fault', nowMs);
  return event;
}

/** A window with so many outcomes at 0 ms. */
export function windowOf(successes: number, faults: number, overloads = 0, bucketMs?: number): OutcomeWindow {
  const window = new OutcomeWindow(bucketMs);
  for (let i = 0; i < successes; i += 1) window.success(0);
  for (let i = 0; i < faults; i += 1) window.fault(0);
  for (let i = 0; i < overloads; i += 1) window.overload(0);
  return window;
}
