import assert from 'node:assert/strict';
import { Progress } from './progress.js';

describe('the progress of the benchmark of servers', () => {
  it('is estimated at first, and then by what the turns took', () => {
    let nowMs = 5000;
    const progress = new Progress(6, 5, false, () => nowMs);
    assert.equal(progress.left(), 'about 7 min left');
    nowMs += 20_000;
    progress.turnEnded();
    assert.equal(progress.left(), 'about 2 min left');
    for (let i = 0; i < 3; i++) progress.turnEnded();
    assert.equal(progress.left(), 'about 10 s left');
  });
});
