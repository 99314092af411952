import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SmallDisk, whyNoSmallDisk } from '../../../../../sidecar/cli/chaos/faults/small-disk.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';

describe('the disk of a drill', () => {
  const scratch = scratchForEach();

  it('is there only for this process, can be filled and emptied, and leaves nothing; elsewhere it says what it lacks', () => {
    const missing = whyNoSmallDisk();
    if (missing !== undefined)
      return assert.match(
        missing,
        /^it mounts a file system of 8 MB, which (only root may do|works on|this)/,
      );
    const disk = SmallDisk.mount(scratch.path);
    try {
      const file = join(disk.path, 'log');
      writeFileSync(file, 'before');
      assert.deepEqual(readdirSync(join(scratch.path, 'disk')), []);
      assert.doesNotMatch(readFileSync('/proc/self/mounts', 'utf8'), new RegExp(scratch.path));
      disk.fill();
      assert.throws(() => writeFileSync(join(disk.path, 'other'), 'more'), { code: 'ENOSPC' });
      disk.empty();
      writeFileSync(join(disk.path, 'other'), 'more');
      assert.equal(readFileSync(file, 'utf8'), 'before');
    } finally {
      disk.close();
      disk.close();
    }
  });
});
