import assert from 'node:assert/strict';
import { coresIn, firstCore, isInPath } from '../../../../../sidecar/cli/chaos/faults/cores.js';
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
