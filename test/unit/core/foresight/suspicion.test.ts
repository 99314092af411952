import assert from 'node:assert/strict';
import { Suspicion } from '../../../../sidecar/core/foresight/suspicion.js';

const why = (text: string) => () => text;

describe('a suspicion', () => {
  it('follows evidence up at once, begins once, and fades to its end', () => {
    const suspicion = new Suspicion();
    assert.equal(suspicion.update(0.4, 0, why('slower'), 0), undefined);
    assert.equal(suspicion.update(0.8, 1, why('fails'), 1_000), 'rose');
    assert.deepEqual([suspicion.value, suspicion.detector, suspicion.why], [0.8, 1, 'fails']);
    assert.equal(suspicion.update(0.9, 1, why('fails'), 2_000), undefined);
    assert.equal(suspicion.update(0, 0, why(''), 22_000), undefined);
    assert.ok(Math.abs(suspicion.value - 0.45) < 1e-9);
    assert.equal(suspicion.isSuspect, true);
    assert.equal(suspicion.update(0, 0, why(''), 42_000), 'fell');
    assert.equal(suspicion.update(0, 0, why(''), 400_000), undefined);
    assert.equal(suspicion.value, 0);
  });

  it('keeps the reason that it had while weaker evidence comes', () => {
    const suspicion = new Suspicion();
    suspicion.update(1, 2, why('queue'), 0);
    suspicion.update(0.3, 0, why('slower'), 1_000);
    assert.deepEqual([suspicion.detector, suspicion.why], [2, 'queue']);
  });

  it('is never above 1, and can be cleared', () => {
    const suspicion = new Suspicion();
    suspicion.update(7, 0, why('slower'), 0);
    assert.equal(suspicion.value, 1);
    suspicion.clear();
    assert.deepEqual([suspicion.value, suspicion.isSuspect, suspicion.why], [0, false, '']);
  });
});
