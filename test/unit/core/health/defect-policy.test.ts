import assert from 'node:assert/strict';
import { DefectPolicy } from '../../../../sidecar/core/health/defect-policy.js';

describe('the policy for defects', () => {
  it('takes up to four contained ones a minute, for ever', () => {
    const policy = new DefectPolicy();
    for (let i = 0; i < 100; i++) assert.equal(policy.record(i * 15_000, true).isUnsafe, false);
  });

  it('finds five within a minute too many', () => {
    const policy = new DefectPolicy();
    const verdicts = [0, 10_000, 20_000, 30_000, 59_999].map((ms) => policy.record(ms, true).isUnsafe);
    assert.deepEqual(verdicts, [false, false, false, false, true]);
    const slower = new DefectPolicy();
    const others = [0, 10_000, 20_000, 30_000, 60_000].map((ms) => slower.record(ms, true).isUnsafe);
    assert.deepEqual(others, [false, false, false, false, false]);
  });

  it('takes none that was not contained', () => {
    assert.equal(new DefectPolicy().record(0, false).isUnsafe, true);
  });

  it('logs one a minute, with the number of those before', () => {
    const policy = new DefectPolicy();
    const lines = [0, 20_000, 40_000, 60_000, 125_000].map((ms) => policy.record(ms, true));
    assert.deepEqual(
      lines.map(({ isLogged, unloggedBefore }) => (isLogged ? unloggedBefore : -1)),
      [0, -1, -1, 2, 0],
    );
  });

  it('logs the one that ends the process, however soon it comes', () => {
    const policy = new DefectPolicy();
    policy.record(0, true);
    assert.equal(policy.record(1, false).isLogged, true);
    assert.equal(policy.record(2, false).isLogged, false);
  });
});
