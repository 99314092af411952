/** When a process is replaced although it serves, and when it is left alone. */
import assert from 'node:assert/strict';
import {
  type RecycleFacts,
  recycleReason,
  waitsForRollout,
} from '../../../../sidecar/core/models/recycle.js';

const MIB = 1024 * 1024;
const LIMITS = { maxAgeMs: 100_000, maxMemoryBytes: 500 * MIB };

describe('the reason to replace a process', () => {
  const facts = (overrides: Partial<RecycleFacts> = {}): RecycleFacts => ({
    ...{ ageMs: 200_000, memoryBytes: 100 * MIB, suspicion: '', isWhole: true, isChanging: false },
    sinceFailureMs: Number.POSITIVE_INFINITY,
    ...overrides,
  });
  const reason = (overrides: Partial<RecycleFacts>, early = 0) =>
    recycleReason(facts(overrides), LIMITS, early);

  it('is its age, its memory, or what a detector says', () => {
    assert.equal(reason({}), 'it has run for 200 s');
    assert.equal(reason({ ageMs: 60_000, memoryBytes: 501 * MIB }), 'it has 501 MiB, more than 500 MiB');
    assert.equal(
      reason({ ageMs: 60_000, suspicion: 'its memory grows by 3 MiB a minute' }),
      'its memory grows by 3 MiB a minute',
    );
  });

  it('is none for one that is young and small, or whose limits are not set', () => {
    assert.equal(reason({ ageMs: 100_000 }), undefined);
    assert.equal(reason({ ageMs: 1, memoryBytes: 500 * MIB }), undefined);
    assert.equal(recycleReason(facts({ memoryBytes: 1e12 }), {}, 0), undefined);
    const young = { ageMs: 59_999, memoryBytes: 1e12, suspicion: 'it leaks' };
    assert.equal(reason(young), undefined, 'a fresh one would be like it');
  });

  it('comes up to a tenth earlier, by chance', () => {
    assert.equal(reason({ ageMs: 95_000 }), undefined);
    assert.equal(reason({ ageMs: 95_000 }, 1), 'it has run for 95 s');
    assert.equal(reason({ ageMs: 89_000 }, 1), undefined);
  });

  for (const [what, overrides] of [
    ['one of its processes does not serve', { isWhole: false }],
    ['another version is on its way', { isChanging: true }],
    ['a fresh process has just failed to load', { sinceFailureMs: 599_999 }],
  ] as const)
    it(`does not count while ${what}`, () => {
      const all = { ...overrides, suspicion: 'it leaks', memoryBytes: 1e12 };
      assert.equal(reason(all), undefined);
    });

  it('waits for the end of a rollout for less than an hour', () => {
    assert.deepEqual(
      [waitsForRollout(0), waitsForRollout(3_599_999), waitsForRollout(3_600_000)],
      [true, true, false],
    );
  });
});
