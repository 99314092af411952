import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../../../../sidecar/runtime/process/directory.js';
import { Scratch } from '../../../kit/process/outrider.js';

describe('making a directory', () => {
  const scratch = new Scratch();
  after(() => scratch.remove());

  it('makes what is missing above it, with the mode', () => {
    const path = join(scratch.path, 'made', 'a', 'b');
    makeDirectory(path, 0o700);
    assert.equal(statSync(path).mode & 0o777, 0o700);
    assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  });

  it('leaves one that is there as it is', () => {
    const path = join(scratch.path, 'there');
    mkdirSync(path, { mode: 0o755 });
    makeDirectory(path, 0o700);
    assert.equal(statSync(path).mode & 0o777, 0o755);
  });

  it('says what stands in the way', () => {
    const file = join(scratch.path, 'file');
    writeFileSync(file, '');
    assert.throws(() => makeDirectory(file), { code: 'EEXIST' });
    // By the version of Node.
    assert.throws(() => makeDirectory(join(file, 'below')), { code: /^(ENOTDIR|EEXIST)$/ });
  });

  it('ends where the file system takes no directories', function () {
    if (process.platform !== 'linux') this.skip();
    assert.throws(() => makeDirectory('/proc/outrider/a/b'), { code: 'ENOENT' });
  });
});
