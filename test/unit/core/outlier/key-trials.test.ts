import assert from 'node:assert/strict';
import { FaultyKeys, KeyTrials } from '../../../../sidecar/core/outlier/key-trials.js';

const KEY = 7;
const [home, other] = [{}, {}];

describe('KeyTrials', () => {
  let trials: KeyTrials;
  const begin = (share = 0.9): void => assert.equal(trials.holds(KEY, home, share, 0), true);
  const fail = (at: object, times = 1, nowMs = 100): void => {
    for (let i = 0; i < times; i++) trials.recordFault(KEY, at, nowMs);
  };
  const answer = (at: object, times = 1, nowMs = 100): void => {
    for (let i = 0; i < times; i++) trials.recordSuccess(KEY, at, nowMs);
  };

  beforeEach(() => {
    trials = new KeyTrials();
  });

  it('sends the key elsewhere while nothing is known, and no other key', () => {
    assert.equal(trials.isEmpty, true);
    begin();
    assert.equal(trials.avoids(KEY, home, 100), true);
    assert.equal(trials.avoids(KEY, other, 100), false);
    assert.equal(trials.avoids(8, home, 100), false);
    assert.equal(trials.holds(KEY, home, 0.9, 100), true);
  });

  it('finds requests at fault that fail twice elsewhere, for a minute after the last', () => {
    begin();
    fail(other);
    assert.equal(trials.isAtFault(KEY, 100), false);
    fail(other);
    assert.deepEqual([trials.isAtFault(KEY, 100), trials.avoids(KEY, home, 100)], [true, false]);
    fail(home, 1, 50_000);
    assert.equal(trials.isAtFault(KEY, 109_000), true);
    assert.equal(trials.isAtFault(KEY, 110_000), false);
    assert.equal(trials.isEmpty, true);
  });

  it('holds it against no endpoint where they fail', () => {
    begin();
    fail(other, 2);
    for (const member of [home, other]) assert.equal(trials.holds(KEY, member, 0.9, 200), true);
  });

  it('blames the endpoint where the key does better elsewhere', () => {
    begin();
    answer(other);
    assert.equal(trials.holds(KEY, home, 0.9, 200), true);
    answer(other);
    assert.deepEqual([trials.holds(KEY, home, 0.9, 200), trials.avoids(KEY, home, 200)], [false, false]);
  });

  it('needs more answers elsewhere, the fewer of them fail at home', () => {
    begin(0.5);
    answer(other, 4);
    assert.equal(trials.holds(KEY, home, 0.5, 200), true);
    answer(other);
    assert.equal(trials.holds(KEY, home, 0.5, 200), false);
  });

  it('finds requests at fault of which a part fails, here as there', () => {
    begin(0.5);
    for (const end of [answer, fail, answer, answer, fail]) end(other);
    assert.equal(trials.isAtFault(KEY, 200), true);
    answer(home, 9);
    fail(home);
    answer(home, 9);
    assert.equal(trials.isAtFault(KEY, 200), true);
    answer(home);
    assert.equal(trials.isAtFault(KEY, 200), false, 'ten in a row are answered well');
  });

  it('blames the endpoint where no call with the key came for ten seconds, for a minute', () => {
    begin();
    assert.equal(trials.holds(KEY, home, 0.9, 9_999), true);
    assert.equal(trials.holds(KEY, home, 0.9, 10_000), false);
    assert.equal(trials.holds(KEY, home, 0.9, 69_999), false);
    assert.equal(trials.holds(KEY, home, 0.9, 70_000), true, 'another trial');
  });

  it('goes by other keys at the endpoint where there is no other one', () => {
    begin();
    trials.recordSuccess(8, home, 50);
    trials.recordSuccess(8, home, 50);
    assert.equal(trials.isAtFault(KEY, 60), false, 'it may be found out elsewhere');
    trials.recordNoOther(KEY);
    assert.equal(trials.avoids(KEY, home, 60), false);
    trials.recordSuccess(8, other, 70);
    trials.recordSuccess(8, home, 70);
    assert.equal(trials.isAtFault(KEY, 80), false);
    trials.recordSuccess(9, home, 90);
    assert.equal(trials.isAtFault(KEY, 100), true);
  });

  it('has eight keys on trial at most, and room again when one is over', () => {
    for (let key = 0; key < 8; key++) assert.equal(trials.holds(key, home, 0.9, 0), true);
    assert.equal(trials.holds(8, home, 0.9, 0), false);
    assert.equal(trials.holds(8, home, 0.9, 80_000), true);
  });
});

describe('FaultyKeys', () => {
  it('has the keys with most failures first, and their shares', () => {
    const keys = new FaultyKeys();
    keys.success(1, 0);
    for (let i = 0; i < 8; i++) keys.fault(1, 0);
    keys.fault(2, 0);
    keys.success(1, 0);
    const found = keys.byFaults(0).map(({ key, window }) => [key, window.faults]);
    assert.deepEqual(found, [
      [1, 8],
      [2, 1],
    ]);
    assert.equal(keys.shareOf(1, 0), 9 / 11);
    assert.equal(keys.shareOf(3, 0), 1 / 2);
  });

  it('forgets failures of more than ten seconds ago', () => {
    const keys = new FaultyKeys();
    keys.fault(1, 0);
    assert.deepEqual(keys.byFaults(11_000), []);
  });

  it('keeps four keys, and those with most failures', () => {
    const keys = new FaultyKeys();
    for (let key = 0; key < 40; key++) for (let i = 0; i < (key < 3 ? 5 : 1); i++) keys.fault(key, 0);
    const found = keys.byFaults(0).map(({ key }) => key);
    assert.deepEqual(found.length, 4);
    for (const key of [0, 1, 2]) assert.ok(found.includes(key));
  });
});
