import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  afterAnswer,
  isSuspect,
  parseIndex,
  ReadBucket,
  readBackoffMs,
  readTimeout,
} from '../../../../sidecar/core/discovery/blocking-index.js';
import { constant } from '../../../kit/time/seeded-random.js';

const ALMOST_ONE = 1 - 1e-12;
const draw = fc.double({ min: 0, max: ALMOST_ONE, noNaN: true });

describe('parseIndex', () => {
  for (const [header, index] of [
    ['0', 0n],
    ['17', 17n],
    ['9007199254740993', 9_007_199_254_740_993n],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['18446744073709551616', undefined],
    ['99999999999999999999', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['0x10', undefined],
    ['1, 2', undefined],
    [' 1', undefined],
    ['', undefined],
    [undefined, undefined],
  ] as const)
    it(`reads ${JSON.stringify(header)} as ${index}`, () => assert.equal(parseIndex(header), index));
});

describe('afterAnswer', () => {
  for (const [what, asked, answered, next, news, reset, poll] of [
    ['the first answer', 0n, 12n, 12n, true, false, false],
    ['nothing new', 12n, 12n, 12n, false, false, false],
    ['something new', 12n, 13n, 13n, true, false, false],
    ['an index that went backwards', 12n, 11n, 0n, false, true, false],
    ['an index that fell to 0', 12n, 0n, 0n, false, true, false],
    ['a first index of 0', 0n, 0n, 1n, true, false, false],
    ['an index that stays 0', 1n, 0n, 1n, true, false, false],
    ['the end of an index of 0', 1n, 7n, 7n, true, false, false],
    ['no index at first', 0n, undefined, 0n, true, false, true],
    ['no index any more', 12n, undefined, 0n, true, false, true],
    ['a step beyond 2^53', 2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 1n, true, false, false],
    ['rest beyond 2^53', 2n ** 53n + 1n, 2n ** 53n + 1n, 2n ** 53n + 1n, false, false, false],
  ] as const)
    it(`${what}: asked ${asked}, answered ${answered}, asks ${next} next`, () =>
      assert.deepEqual(afterAnswer(asked, answered), { next, news, reset, poll }));
});

describe('readTimeout', () => {
  it('asks for up to a sixteenth less, and times out a sixteenth and the slack later', () => {
    const [most, half] = [0, 0.5].map((chance) => readTimeout(300_000, 10_000, constant(chance)));
    assert.deepEqual(most, { waitMs: 300_000, timeoutMs: 328_750 });
    assert.deepEqual(half, { waitMs: 290_625, timeoutMs: 318_789.0625 });
  });

  it('never times out before the agent may answer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600_000 }), draw, (ms, chance) => {
        const { waitMs, timeoutMs } = readTimeout(ms, 1_000, constant(chance));
        assert.ok(waitMs >= 1_000 && waitMs <= Math.max(1_000, ms));
        assert.ok(timeoutMs >= waitMs + waitMs / 16 + 1_000);
      }),
    );
  });
});

describe('isSuspect', () => {
  const calm = { isBlocking: true, isChange: false, isReset: false, tookMs: 0, isBucketEmpty: false };
  for (const [what, before, read, after] of [
    ['an answer at once', false, {}, false],
    ['answers at once that come too fast', false, { isBucketEmpty: true }, true],
    ['changes that come too fast', false, { isBucketEmpty: true, isChange: true }, false],
    ['reads too fast that do not block', false, { isBucketEmpty: true, isBlocking: false }, false],
    ['suspicion, and an answer at once', true, {}, true],
    ['suspicion, and a read that does not block', true, { isBlocking: false, tookMs: 5_000 }, true],
    ['suspicion, and a read that was held', true, { tookMs: 10_000 }, false],
    ['suspicion, and a held read with a change', true, { tookMs: 5_000, isChange: true }, false],
    ['suspicion, and a held read that went backwards', true, { tookMs: 10_000, isReset: true }, true],
    ['a held read that went backwards', false, { tookMs: 10_000, isReset: true }, false],
  ] as const)
    it(`is ${after} after ${what}`, () => assert.equal(isSuspect(before, { ...calm, ...read }), after));
});

describe('readBackoffMs', () => {
  const longest = (isSilent: boolean) =>
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10_000].map((failures) =>
      Math.round(readBackoffMs(failures, isSilent, constant(ALMOST_ONE))),
    );

  it('doubles up to 30 s', () =>
    assert.deepEqual(longest(false), [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]));
  it('stops at 4 s while the agent does not answer', () =>
    assert.deepEqual(longest(true), [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000, 4_000, 4_000]));
  it('is at least half of the bound', () => assert.equal(readBackoffMs(3, false, constant(0)), 500));
});

describe('ReadBucket', () => {
  /** Takes five reads at once. */
  const takeFive = (bucket: ReadBucket, nowMs: number): void => {
    for (let i = 0; i < 5; i++) {
      assert.equal(bucket.delayMs(nowMs), 0);
      bucket.take(nowMs);
    }
  };

  it('admits five reads at once, then one a second', () => {
    const bucket = new ReadBucket(0);
    takeFive(bucket, 0);
    const delays = [0, 400, 1_000].map((nowMs) => bucket.delayMs(nowMs));
    assert.deepEqual(delays, [1_000, 600, 0]);
  });

  it('is full again after five seconds without reads, and no fuller later', () => {
    const bucket = new ReadBucket(0);
    takeFive(bucket, 0);
    takeFive(bucket, 1e6);
    assert.ok(bucket.delayMs(1e6) > 0);
  });

  it('admits one read, then one a second, when the agent has come back', () => {
    const bucket = new ReadBucket(0);
    bucket.take(10_000);
    bucket.returned(10_005);
    assert.equal(bucket.delayMs(10_005), 0);
    bucket.take(10_005);
    assert.equal(bucket.delayMs(10_005), 1_000);
    bucket.returned(10_005);
    assert.equal(bucket.delayMs(10_005), 1_000, 'and gives nothing away');
  });

  it('admits at most 5 + t reads within any t seconds', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 3_000, noNaN: true }), { maxLength: 100 }), (pauses) => {
        const bucket = new ReadBucket(0);
        const times: number[] = [];
        let nowMs = 0;
        for (const pauseMs of pauses) {
          nowMs += pauseMs;
          nowMs += bucket.delayMs(nowMs);
          assert.equal(bucket.delayMs(nowMs), 0);
          bucket.take(nowMs);
          times.push(nowMs);
        }
        for (let first = 0; first < times.length; first++)
          for (let last = first; last < times.length; last++)
            assert.ok(last - first + 1 <= 5 + (times[last]! - times[first]!) / 1_000 + 1e-3);
      }),
    );
  });
});
