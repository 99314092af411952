import assert from 'node:assert/strict';
import { filledIn } from '../../../../tools/observe/alert.js';
import { ALERTS } from '../../../../tools/observe/rules-file.js';

describe('alerts', () => {
  it('have their texts filled in as Prometheus does it', () => {
    const test = { inputs: {}, labels: { upstream: 'digits' }, value: '25%' };
    const text = '{{ $labels.upstream }}{{ $labels.none }}: {{ $value | humanizePercentage }}';
    assert.equal(filledIn(text, test), 'digits: 25%');
  });

  it('have names of their own, and say what to do', () => {
    assert.equal(new Set(ALERTS.map(({ name }) => name)).size, ALERTS.length);
    for (const { name, steps, means, test } of ALERTS) {
      assert.match(name, /^Outrider[A-Z]\w+$/);
      assert.ok(steps.length > 0 && means !== '', name);
      assert.ok(Object.keys(test.inputs).length > 0, name);
    }
  });

  it('that wake an operator wait until a fault has lasted', () => {
    for (const { name, severity, forMinutes } of ALERTS)
      if (severity === 'critical') assert.ok(forMinutes >= 1, name);
  });
});
