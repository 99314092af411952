import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LockFile } from '../../../../sidecar/runtime/process/lock-file.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('a lock file', () => {
  const scratch = scratchForEach();
  const lock = () => new LockFile(join(scratch.path, 'x.lock'));

  it('is there while its process has the lock, and names it', () => {
    lock().acquire();
    assert.match(readFileSync(lock().path, 'utf8'), new RegExp(`^${process.pid} `));
    lock().release();
    assert.ok(!existsSync(lock().path));
  });

  it('of a process that lives keeps others out', () => {
    lock().acquire();
    const own = readFileSync(lock().path, 'utf8');
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'latin1');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(lock().path, `${process.ppid} ${started}`);
    assert.throws(() => lock().acquire(), new RegExp(`process ${process.ppid} is writing it`));
    writeFileSync(lock().path, own);
    lock().acquire();
  });

  it('of a process that has ended, or of which another has the id now, counts for nothing', () => {
    for (const left of [`${process.ppid} 1`, '999999999 5', 'nonsense', '']) {
      writeFileSync(lock().path, left);
      lock().acquire();
      lock().release();
    }
  });

  it('fails with the reason where it cannot be made', () => {
    assert.throws(() => new LockFile(join(scratch.path, 'none/x.lock')).acquire(), /ENOENT/);
  });
});
