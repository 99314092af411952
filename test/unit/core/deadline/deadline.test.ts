import assert from 'node:assert/strict';
import {
  allowedMs,
  answerDeadlineMs,
  isAttemptTimeoutFirst,
  UNLIMITED_MS,
} from '../../../../sidecar/core/deadline/deadline.js';

describe('allowedMs', () => {
  for (const [callerMs, routeMs, expected] of [
    [1_000, 15_000, 1_000],
    [15_000, 15_000, 15_000],
    [15_001, 15_000, 15_000],
    [UNLIMITED_MS, 15_000, 15_000],
    [1_000, 0, 1_000],
    [UNLIMITED_MS, 0, UNLIMITED_MS],
    [0, 15_000, 0],
    [0, 0, 0],
    [Number.NaN, 15_000, 15_000],
    [Number.NaN, 0, UNLIMITED_MS],
  ] as const)
    it(`allows ${expected} ms when the caller says ${callerMs} and the route ${routeMs}`, () =>
      assert.equal(allowedMs(callerMs, routeMs), expected));
});

describe('isAttemptTimeoutFirst', () => {
  for (const [attemptMs, leftMs, isFirst] of [
    [250, 1_000, true],
    [1_000, 1_000, false],
    [1_000, 999, false],
    [0, 1_000, false],
    [0, UNLIMITED_MS, false],
    [250, UNLIMITED_MS, true],
    [250, 0, false],
  ] as const)
    it(`is ${isFirst} with a limit of ${attemptMs} and ${leftMs} left`, () =>
      assert.equal(isAttemptTimeoutFirst(attemptMs, leftMs), isFirst));
});

describe('answerDeadlineMs', () => {
  for (const [what, callMs, routeMs, expected] of [
    ['the deadline of the call', 5_000, 0, 6_000],
    ['no limit for a call without a deadline', UNLIMITED_MS, 0, UNLIMITED_MS],
    ['the limit of the route where the call has longer', UNLIMITED_MS, 2_000, 3_000],
    ['the limit of the attempt where the caller does not say more', Number.NaN, 2_000, 1_300],
    ['no less than the limit of the attempt', 100, 0, 1_300],
  ] as const)
    it(`is ${what}`, () => assert.equal(answerDeadlineMs(1_300, 1_000, callMs, routeMs), expected));
});
