import assert from 'node:assert/strict';
import { mayLower, trustOf } from '../../../../sidecar/core/foresight/distrust.js';

const POOL = { eligible: 4, suspects: 1, cap: 2, ejected: 0, isPanicking: false, isFull: false };

describe('suspects', () => {
  it('get fewer calls as long as they and the ejected are no more than may be ejected', () => {
    assert.equal(mayLower(POOL), undefined);
    assert.equal(mayLower({ ...POOL, suspects: 2 }), undefined);
    assert.equal(mayLower({ ...POOL, suspects: 3 }), 'shared');
    assert.equal(mayLower({ ...POOL, suspects: 2, ejected: 1 }), 'shared');
  });

  it('keep them all when there is no other, in a panic, and where the others are full', () => {
    assert.equal(mayLower({ ...POOL, eligible: 1, cap: 1 }), 'shared');
    assert.equal(mayLower({ ...POOL, isPanicking: true }), 'shared');
    assert.equal(mayLower({ ...POOL, isFull: true }), 'full');
  });

  it('keep the least share at the highest suspicion, and never less', () => {
    assert.equal(trustOf(0), 1);
    assert.equal(trustOf(0.5), 0.6);
    assert.equal(trustOf(1), 0.19999999999999996);
    assert.equal(trustOf(9), trustOf(1));
  });
});
