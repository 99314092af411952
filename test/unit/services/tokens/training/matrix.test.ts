import assert from 'node:assert/strict';
import { seededRandom } from '../../../../../services/digits/random.js';
import {
  addProduct,
  type Matrix,
  matrix,
  rowsOf,
  transpose,
} from '../../../../../services/tokens/training/matrix.js';

function filled(rows: number, columns: number, seed: number): Matrix {
  const random = seededRandom(seed);
  const made = matrix(rows, columns);
  for (let i = 0; i < made.data.length; i++) made.data[i] = random.normal();
  return made;
}

describe('the product of matrices', () => {
  for (const [m, n, k] of [
    [4, 8, 5],
    [1, 1, 1],
    [7, 9, 3],
    [5, 4, 16],
    [3, 6, 2],
  ] as const) {
    it(`of ${m} × ${k} with the transpose of ${n} × ${k} is added to what is there`, () => {
      const left = filled(m, k, 1);
      const right = filled(n, k, 2);
      const sum = filled(m, n, 3);
      const before = sum.data.slice();
      addProduct(sum, left, right);
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let expected = before[i * n + j]!;
          for (let d = 0; d < k; d++) expected += left.data[i * k + d]! * right.data[j * k + d]!;
          assert.ok(Math.abs(sum.data[i * n + j]! - expected) < 1e-5, `${i}, ${j}`);
        }
    });
  }

  it('works on some rows of a larger matrix', () => {
    const whole = matrix(6, 2);
    addProduct(rowsOf(whole, 2, 3), filled(3, 4, 1), filled(2, 4, 2));
    const zero = (row: number) => whole.data[2 * row] === 0 && whole.data[2 * row + 1] === 0;
    assert.deepEqual([0, 1, 2, 3, 4, 5].map(zero), [true, true, false, false, false, true]);
  });
});

describe('the transpose of a matrix', () => {
  it('has columns for rows', () => {
    const from = { rows: 2, columns: 3, data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const to = matrix(3, 2);
    transpose(to, from);
    assert.deepEqual([...to.data], [1, 4, 2, 5, 3, 6]);
  });
});
