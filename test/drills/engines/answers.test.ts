import assert from 'node:assert/strict';
import { seamOf } from './answers.js';

describe('what is wrong with an answer', () => {
  const expected = Array.from({ length: 100 }, (_, i) => 1_000 + i);

  it('is how many tokens are missing, at the seam or at its end', () => {
    assert.deepEqual(seamOf(expected, [...expected.slice(0, 40), ...expected.slice(43)]), {
      missing: 3,
      doubled: 0,
    });
    assert.deepEqual(seamOf(expected, expected.slice(0, 90)), { missing: 10, doubled: 0 });
  });

  it('is how many are there twice, at the seam or at its end', () => {
    assert.deepEqual(seamOf(expected, [...expected.slice(0, 40), ...expected.slice(38)]), {
      missing: 0,
      doubled: 2,
    });
    assert.deepEqual(seamOf(expected, [...expected, expected[99]!]), { missing: 0, doubled: 1 });
  });

  it('is neither where other tokens came', () => {
    const other = expected.map((id, i) => (i < 40 ? id : id + 5_000));
    assert.deepEqual(seamOf(expected, other), { missing: 0, doubled: 0 });
  });
});
