import assert from 'node:assert/strict';
import { DescriptorLimit, softLimitIn } from '../../../../../sidecar/cli/chaos/faults/descriptors.js';

describe('the limit of descriptors in a drill', () => {
  it('is read from what prlimit says', () => {
    assert.equal(softLimitIn('1024\n'), '1024');
    assert.equal(softLimitIn('unlimited\n'), 'unlimited');
    assert.equal(softLimitIn('SOFT\n1024\n'), undefined);
    assert.equal(softLimitIn(''), undefined);
  });

  it('is none of a process that has ended', async () => {
    // Process ids end at 4,194,304.
    assert.equal(await DescriptorLimit.exhaust(4_194_305), undefined);
  });
});
