import assert from 'node:assert/strict';
import { bar } from './progress-bar.js';

describe('the progress bar of the demo', () => {
  it('draws a bar that never leaves its frame', () => {
    assert.equal(bar(0, 4), '[....]   0 %');
    assert.equal(bar(0.5, 4), '[##..]  50 %');
    assert.equal(bar(1, 4), '[####] 100 %');
    assert.equal(bar(7, 4).slice(0, 6), '[####]');
    assert.equal(bar(-1, 4).slice(0, 6), '[....]');
  });
});
