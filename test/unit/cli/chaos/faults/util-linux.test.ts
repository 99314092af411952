import assert from 'node:assert/strict';
import {
  coresIn,
  DescriptorLimit,
  firstCore,
  isInPath,
  softLimitIn,
} from '../../../../../sidecar/cli/chaos/faults/util-linux.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';

describe('the cores of a drill', () => {
  const scratch = scratchForEach();

  it('are read from what taskset says', () => {
    const answer = "pid 12's current affinity list: 3-5,8\n";
    assert.equal(firstCore(answer), 3);
    assert.equal(coresIn(answer), '3-5,8');
    assert.equal(firstCore('taskset: failed to get pid 12'), undefined);
    assert.equal(coresIn(''), undefined);
  });

  it('need a program that is in PATH', () => {
    scratch.write('taskset', '');
    assert.equal(isInPath('taskset', `/nowhere:${scratch.path}`), true);
    assert.equal(isInPath('taskset', '/nowhere:'), false);
  });
});

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
