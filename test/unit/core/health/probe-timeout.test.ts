import assert from 'node:assert/strict';
import { answerTimeoutMs, CallTimes, checkTimeoutMs } from '../../../../sidecar/core/health/probe-timeout.js';

/** So many calls by their duration, ms. */
const timesOf = (calls: Readonly<Record<number, number>>, atMs = 0): CallTimes => {
  const times = new CallTimes();
  for (const [ms, count] of Object.entries(calls))
    for (let i = 0; i < count; i++) times.record(Number(ms), atMs);
  return times;
};

describe('The timeout of a health check', () => {
  for (const [usualMs, expectedMs, what] of [
    [0, 1_000, 'a second where nothing is known'],
    [4, 1_000, 'a second behind quick work'],
    [333, 1_000, 'a second up to a third of it'],
    [400, 1_200, 'three times what the work usually takes'],
    [1_000.2, 3_001, 'whole milliseconds'],
    [20_000, 60_000, 'a minute'],
    [90_000, 60_000, 'no longer than a minute'],
  ] as const)
    it(`${what}: ${expectedMs} ms for ${usualMs} ms`, () =>
      assert.equal(answerTimeoutMs(usualMs), expectedMs));

  for (const [usualMs, intervalMs, expectedMs, what] of [
    [0, 5_000, 1_000, 'a second'],
    [0, 200, 200, 'no longer than until the next check'],
    [50, 200, 200, 'behind quick work no longer either'],
    [100, 200, 300, 'behind slow work longer than until the next check'],
    [4_000, 5_000, 12_000, 'the same behind slower work'],
    [90_000, 5_000, 60_000, 'no longer than a minute'],
  ] as const)
    it(`with a check every ${intervalMs} ms, ${what}: ${expectedMs} ms for ${usualMs} ms`, () =>
      assert.equal(checkTimeoutMs(usualMs, intervalMs), expectedMs));
});

describe('CallTimes', () => {
  for (const [what, calls, expectedMs] of [
    ['are 0 without any', {}, 0],
    ['are those of one call, if there was one', { 2000: 1 }, 2_000],
    ['are the longest of few', { 100: 20, 3000: 1 }, 3_000],
    ['leave out one in a thousand', { 100: 999, 3000: 1 }, 100],
    ['do not leave out one in fifty', { 100: 980, 3000: 20 }, 3_000],
  ] as const)
    it(what, () => {
      const found = timesOf(calls).p99Ms(0);
      assert.ok(found >= expectedMs / 1.26 && found <= expectedMs * 1.26, `${found}`);
    });

  it('are forgotten after 30 s to 60 s', () => {
    assert.ok(timesOf({ 2000: 5 }).p99Ms(59_999) > 1_500);
    assert.equal(timesOf({ 2000: 5 }).p99Ms(60_000), 0);
    assert.ok(timesOf({ 2000: 5 }, 29_999).p99Ms(59_999) > 1_500);
  });
});
