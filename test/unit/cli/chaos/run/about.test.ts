import assert from 'node:assert/strict';
import { busyText } from '../../../../../sidecar/cli/chaos/run/about.js';

describe('a machine on which drills are run', () => {
  it('is told to be busy where more wants to run than there are cores, and not below', () => {
    assert.equal(busyText(2, 2), undefined);
    assert.equal(
      busyText(15.25, 2),
      'this machine is busy already (load 15.3 on 2 cores): its comparisons are no measurement',
    );
    assert.match(busyText(1.5, 1)!, /load 1\.5 on 1 core\)/);
  });
});
