import assert from 'node:assert/strict';
import { ShortDeadlines } from '../../../../sidecar/core/retry/short-deadlines.js';

const METHOD = '/a.Service/Do';

describe('ShortDeadlines', () => {
  let times: ShortDeadlines;
  const late = (count: number, leftMs = 100, nowMs = 0): void => {
    for (let i = 0; i < count; i++) times.recordLate(METHOD, leftMs, nowMs);
  };
  const mayTry = (leftMs: number, nowMs = 0, method = METHOD): boolean => times.mayTry(method, leftMs, nowMs);

  beforeEach(() => {
    times = new ShortDeadlines();
  });

  it('allow every extra attempt while nothing was late', () => {
    assert.equal(times.isIdle, true);
    for (const leftMs of [0, 1, 100, Number.POSITIVE_INFINITY]) assert.equal(mayTry(leftMs), true);
  });

  it('allow one in a second after ten that were late, with about as much time', () => {
    late(9);
    assert.deepEqual([mayTry(100), mayTry(100)], [true, true]);
    late(1);
    assert.deepEqual([mayTry(100), mayTry(100), mayTry(65), mayTry(127)], [true, false, false, false]);
    assert.deepEqual([mayTry(100, 999), mayTry(100, 1_000), mayTry(100, 1_001)], [false, true, false]);
    for (const leftMs of [40, 128, 5_000, Number.POSITIVE_INFINITY])
      assert.equal(mayTry(leftMs), true, `${leftMs}`);
    assert.equal(mayTry(100, 0, '/other'), true);
  });

  it('allow them again once an answer took no longer', () => {
    late(10);
    mayTry(100);
    times.recordAnswer(METHOD, 300);
    times.recordAnswer('/other', 3);
    assert.equal(mayTry(100, 10), false);
    times.recordAnswer(METHOD, 70);
    assert.deepEqual([mayTry(100, 20), mayTry(100, 20)], [true, true]);
  });

  it('allow them again ten seconds after the last one', () => {
    late(10);
    mayTry(100, 9_999);
    assert.equal(mayTry(100, 9_999), false);
    assert.equal(mayTry(100, 10_000), true);
    late(1, 100, 10_000);
    assert.deepEqual([mayTry(100, 10_000), mayTry(100, 10_000)], [true, true]);
  });

  it('tell a bounded number of methods apart', () => {
    for (let i = 0; i < 200; i++) for (let n = 0; n < 10; n++) times.recordLate(`/${i}`, 100, 0);
    for (const method of ['/0', '/63', '/64', '/199']) {
      times.mayTry(method, 100, 0);
      assert.equal(times.mayTry(method, 100, 0), false, method);
    }
  });
});
