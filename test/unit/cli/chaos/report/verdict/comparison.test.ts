import assert from 'node:assert/strict';
import type { ArmName } from '../../../../../../sidecar/cli/chaos/history/record.js';
import { type ArmFigures, figuresOf } from '../../../../../../sidecar/cli/chaos/report/figures/figures.js';
import { compare } from '../../../../../../sidecar/cli/chaos/report/verdict/comparison.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant } from '../../../../../kit/time/seeded-random.js';

const [BASE] = figuresOf([madeRun({ random: constant(0.5) })]);

/** Figures of one run with so many failed calls of so many and this time to recovery. */
function arm(name: ArmName, failed: number, recovery: number | 'never' = 0, calls = 1_000): ArmFigures {
  const counts = { ...BASE!.counts, calls, failed, wrong: 0 };
  const recoveryMs = { median: recovery, least: recovery, most: recovery };
  const recoveries = { recoveryMs, recoveryLessOneMs: recoveryMs };
  return { ...BASE!, arm: name, counts, duplicated: 0, ...recoveries, badShares: [failed / calls] };
}

const result = (own: ArmFigures, other: ArmFigures): string => {
  const { result, by } = compare(own, other);
  return `${result} by ${by}`;
};

describe('Outrider beside another arm', () => {
  it('is judged by bad calls first, whatever the recovery', () => {
    assert.equal(result(arm('outrider', 0, 'never'), arm('envoy', 50, 0)), 'better by calls');
    assert.equal(result(arm('outrider', 50, 0), arm('envoy', 0, 'never')), 'worse by calls');
    const duplicated = { ...arm('envoy', 0), duplicated: 20, badShares: [0.02] };
    assert.equal(result(arm('outrider', 0), duplicated), 'better by calls');
    const wrong = arm('envoy', 0);
    const counts = { ...wrong.counts, wrong: 20 };
    assert.equal(result(arm('outrider', 0), { ...wrong, counts, badShares: [0.02] }), 'better by calls');
  });

  it('is level by calls within twice the square root of their sum, for as many calls', () => {
    assert.equal(result(arm('outrider', 4), arm('envoy', 0)), 'level by nothing');
    assert.equal(result(arm('outrider', 5), arm('envoy', 0)), 'worse by calls');
    assert.equal(result(arm('outrider', 120), arm('envoy', 100)), 'level by nothing');
    assert.equal(result(arm('outrider', 140), arm('envoy', 100)), 'worse by calls');
    assert.equal(
      result(arm('outrider', 50), arm('envoy', 500, 0, 10_000)),
      'level by nothing',
      'the same share',
    );
  });

  it('is then judged by the recovery, in whose resolution it is level', () => {
    assert.equal(result(arm('outrider', 0, 500), arm('envoy', 0, 0)), 'level by nothing');
    assert.equal(result(arm('outrider', 0, 1_000), arm('envoy', 0, 0)), 'worse by recovery');
    assert.equal(result(arm('outrider', 0, 1_000), arm('envoy', 0, 'never')), 'better by recovery');
    assert.equal(result(arm('outrider', 0, 'never'), arm('envoy', 0, 'never')), 'level by nothing');
    const { recoveryMs: _, ...none } = arm('envoy', 0);
    assert.equal(result(arm('outrider', 0, 1_000), { ...none, recoveryMs: undefined }), 'level by nothing');
  });

  it('is level where the ranges of repeated runs overlap', () => {
    const own = { ...arm('outrider', 60), badShares: [0.01, 0.05] };
    assert.equal(result(own, { ...arm('envoy', 20), badShares: [0.005, 0.011] }), 'level by nothing');
    assert.equal(result(own, { ...arm('envoy', 20), badShares: [0.005, 0.009] }), 'worse by calls');
    const recovering = (name: ArmName, median: number, least: number, most: number): ArmFigures => {
      const recoveryMs = { median, least, most };
      return { ...arm(name, 0), recoveryMs, recoveryLessOneMs: recoveryMs };
    };
    const slow = recovering('outrider', 3_000, 1_000, 4_000);
    assert.equal(result(slow, recovering('envoy', 500, 500, 1_000)), 'level by nothing');
    assert.equal(result(slow, recovering('envoy', 500, 500, 500)), 'worse by recovery');
  });

  it('is level by recovery where a single bad call makes the difference, whichever arm had it', () => {
    const lessOne = (figures: ArmFigures, ms: number): ArmFigures => ({
      ...figures,
      recoveryLessOneMs: { median: ms, least: ms, most: ms },
    });
    const late = arm('outrider', 2, 3_000);
    assert.equal(result(late, arm('envoy', 2, 500)), 'worse by recovery');
    assert.equal(result(lessOne(late, 500), arm('envoy', 2, 500)), 'level by nothing');
    assert.equal(result(lessOne(late, 1_000), arm('envoy', 2, 500)), 'worse by recovery');
    assert.equal(result(arm('outrider', 0, 0), arm('envoy', 2, 4_500)), 'better by recovery');
    assert.equal(result(arm('outrider', 0, 0), lessOne(arm('envoy', 2, 4_500), 0)), 'level by nothing');
  });

  it('says why, with the figures', () => {
    assert.equal(
      compare(arm('outrider', 2, 1_500), arm('envoy', 3, 'never')).because,
      '2 bad calls of 1,000, beside 3 of 1,000; recovered after 1.5 s, beside never',
    );
    assert.equal(result(arm('outrider', 0, 0, 0), arm('envoy', 9)), 'level by nothing', 'no calls');
  });
});
