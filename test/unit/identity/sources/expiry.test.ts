import assert from 'node:assert/strict';
import {
  ageReport,
  nextCheckMs,
  phaseEndsInMs,
  type ValidityPhase,
  validityPhase,
} from '../../../../sidecar/identity/sources/expiry.js';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);
const life = { notBeforeMs: START, notAfterMs: START + 10 * HOUR };

describe("a certificate's life", () => {
  const phases: [number, ValidityPhase, number][] = [
    [-1, 'fresh', 6 * HOUR + 1],
    [0, 'fresh', 5 * HOUR + 1],
    [5, 'fresh', 1],
    [5.5, 'renewing', 2.5 * HOUR + 1],
    [8, 'renewing', 1],
    [8.5, 'low', 1.5 * HOUR + 1],
    [10, 'low', 1],
    [10.001, 'expired', Number.POSITIVE_INFINITY],
    [Number.NaN, 'expired', Number.POSITIVE_INFINITY],
  ];
  for (const [hours, phase, endsInMs] of phases)
    it(`after ${hours} of 10 hours is ${phase}`, () => {
      const now = START + hours * HOUR;
      assert.equal(validityPhase(life, now), phase);
      assert.equal(phaseEndsInMs(life, now), endsInMs);
    });

  it('is looked at never, sometimes, often, all the time', () => {
    const middle = () => 0.5;
    const all = ['fresh', 'renewing', 'low', 'expired'] as const;
    const each = all.map((phase) => nextCheckMs(life, phase, middle));
    assert.deepEqual(each, [Number.POSITIVE_INFINITY, HOUR / 2, HOUR / 10, 3_000]);
    const short = { notBeforeMs: 0, notAfterMs: 60_000 };
    const renewing = nextCheckMs(short, 'renewing', () => 0);
    const low = nextCheckMs(short, 'low', () => 1);
    assert.deepEqual([renewing, Math.round(low)], [4_000, 6_000]);
  });

  it('is a warning from 20 % left on, and a problem at its end', () => {
    const at = (hours: number) => ageReport(life, START + hours * HOUR, 'ignored');
    assert.deepEqual(at(7.9), {});
    assert.deepEqual(at(9), { warning: 'our certificate expires in 3600 s; ignored' });
    assert.deepEqual(at(11), { problem: 'our certificate expired at 2026-01-01T10:00:00.000Z; ignored' });
  });
});
