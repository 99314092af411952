import assert from 'node:assert/strict';
import { ConnectionEnds, FRESH_MS, SHORT_LIFE_MS } from '../../../../sidecar/core/outlier/connection-ends.js';
import { Detector } from '../../../../sidecar/core/outlier/detectors.js';
import { type Ejection, EjectionEvent, EjectionState } from '../../../../sidecar/core/outlier/ejection.js';
import { shortLived } from '../../../../sidecar/core/outlier/short-lived.js';
import { ALL_DETECTORS, ejectionPool, sweep } from '../../../kit/core/ejections.js';

const SETTINGS = { minConnections: 2 };
const NOW_MS = 10_000;

/** So many short-lived connections in a row until `NOW_MS`, each with a call on it. */
const endsOf = (count: number, ends = new ConnectionEnds()): ConnectionEnds => {
  for (let left = count - 1; left >= 0; left--)
    ends.record(NOW_MS - 1_000 * left - 900, 1, NOW_MS - 1_000 * left);
  return ends;
};
const foundIn = (all: readonly ConnectionEnds[], nowMs = NOW_MS): boolean[] =>
  shortLived.find(all, SETTINGS, nowMs).map((finding) => finding !== undefined);

describe('The short-lived-connections detector', () => {
  it('finds an endpoint whose connections are cut one after the other, with calls on them', () => {
    const [finding, ...others] = shortLived.find([endsOf(2), endsOf(0), endsOf(0)], SETTINGS, NOW_MS);
    const why = '2 connections in a row were cut within a minute of being made, with 2 calls on them';
    assert.deepEqual([finding, ...others], [{ why, severity: 2 }, undefined, undefined]);
  });

  it('has nothing against one connection that is cut', () => {
    assert.deepEqual(foundIn([endsOf(1), endsOf(0), endsOf(0)]), [false, false, false]);
  });

  it('has nothing against an endpoint whose next connection works', () => {
    assert.deepEqual(foundIn([endsOf(5), endsOf(0)], NOW_MS + FRESH_MS - 1), [true, false]);
    assert.deepEqual(foundIn([endsOf(5), endsOf(0)], NOW_MS + FRESH_MS), [false, false]);
  });

  it('finds none where the connections of more than half of the others are cut as well', () => {
    assert.deepEqual(foundIn([endsOf(5), endsOf(3)]), [false, false]);
    assert.deepEqual(foundIn([endsOf(5), endsOf(1), endsOf(1)]), [false, false, false]);
    const idle = new ConnectionEnds();
    // Its connection was idle, and fell to the same cause.
    idle.record(0, 0, NOW_MS);
    assert.deepEqual(foundIn([endsOf(5), idle]), [false, false]);
    assert.deepEqual(foundIn([endsOf(5), idle], NOW_MS + SHORT_LIFE_MS - 1), [false, false]);
  });

  it('finds one where few of the others are cut', () => {
    assert.deepEqual(foundIn([endsOf(2), endsOf(1), endsOf(0)]), [true, false, false]);
  });

  describe('in a pool', () => {
    const pooled = (count: number) => ejectionPool(count, { detectors: ALL_DETECTORS });
    const cut = (member: Ejection): void => void endsOf(2, member.connections!);

    it('ejects the endpoint, which begins anew when it is back', () => {
      const { pool, a, b } = pooled(3);
      cut(a);
      assert.deepEqual(sweep(pool, NOW_MS), [EjectionEvent.ejected]);
      assert.deepEqual([a.state, a.detector], [EjectionState.ejected, Detector.shortLived]);
      assert.equal(b.state, EjectionState.admitted);
      pool.members.readmit(a, NOW_MS + 500);
      assert.deepEqual(sweep(pool, NOW_MS + 1_000), []);
      a.connections!.record(NOW_MS, 1, NOW_MS + 2_000);
      assert.deepEqual(sweep(pool, NOW_MS + 2_000), []);
    });

    it('counts further connections of an endpoint that has reconnected', () => {
      const { pool, a } = pooled(3);
      endsOf(1, a.connections!);
      pool.members.forgetHistory(a, NOW_MS);
      a.connections!.record(NOW_MS, 1, NOW_MS + 500);
      assert.deepEqual(sweep(pool, NOW_MS + 1_000), [EjectionEvent.ejected]);
    });

    it('does not eject the last endpoint', () => {
      const { pool, a } = pooled(1);
      cut(a);
      assert.deepEqual(sweep(pool, NOW_MS), [EjectionEvent.lastEligible]);
      assert.equal(a.state, EjectionState.admitted);
    });

    it('does not eject an endpoint while the others refuse calls as full, and readmits it when they do', () => {
      const { pool, a, b } = pooled(3);
      for (let i = 0; i < 5; i++) b.outcomes!.overload(NOW_MS);
      cut(a);
      assert.deepEqual(sweep(pool, NOW_MS), [EjectionEvent.othersFull]);
      assert.deepEqual([a.state, a.slowness], [EjectionState.admitted, 1]);
      const later = NOW_MS + 11_000;
      a.connections!.record(later - 500, 1, later);
      assert.deepEqual(sweep(pool, later), [EjectionEvent.ejected]);
      for (let i = 0; i < 5; i++) b.outcomes!.overload(later);
      assert.deepEqual(sweep(pool, later + 100), [EjectionEvent.readmitted]);
    });

    it('only counts where the detector observes', () => {
      const detectors = { ...ALL_DETECTORS, shortLived: { mode: 'observe', minConnections: 2 } } as const;
      const { pool, a } = ejectionPool(3, { detectors });
      cut(a);
      assert.deepEqual(sweep(pool, NOW_MS), [EjectionEvent.observed]);
    });
  });
});
