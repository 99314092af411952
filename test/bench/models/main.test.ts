import assert from 'node:assert/strict';
import { renderModels } from './main.js';

describe('the table of models in code', () => {
  it('shows what a request costs in each batch, and the gain over one alone', () => {
    const figures = {
      name: 'tiny',
      loadMs: 12.4,
      processMb: 90.2,
      modelMb: 30.6,
      batchedMb: 99.9,
      batches: [
        { size: 1, microsecondsEach: 200 },
        { size: 2, microsecondsEach: 50 },
        { size: 4, microsecondsEach: 400 },
      ],
    };
    const lines = renderModels([figures]).split('\n');
    const words = (line: number): string[] => lines[line]!.trim().split(/\s+/);
    assert.deepEqual(words(1), ['tiny', '12', '90', '31', '100']);
    assert.deepEqual(words(4), ['1', '2', '4']);
    assert.deepEqual(words(5), ['tiny', '200', '×1.0', '50.0', '×4.0', '400', '×0.5']);
  });
});
