import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../../../../services/fetch/lock.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('a lock over processes', () => {
  const scratch = scratchForEach();
  const file = (): string => join(scratch.path, 'below/x.lock');

  it('lets one work at a time, and is gone afterwards', async () => {
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      assert.equal(readFileSync(file(), 'utf8'), String(process.pid));
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    };
    await Promise.all([withLock(file(), work), withLock(file(), work), withLock(file(), work)]);
    assert.equal(most, 1);
    assert.equal(existsSync(file()), false);
  });

  it('is gone when the work fails', async () => {
    await assert.rejects(
      withLock(file(), () => Promise.reject(new Error('work'))),
      /work/,
    );
    assert.equal(existsSync(file()), false);
  });

  it('is taken over from a process that is gone, and from one that left an empty file', async () => {
    await withLock(file(), async () => {});
    const { pid } = spawnSync(process.execPath, ['--version']);
    writeFileSync(file(), String(pid));
    assert.equal(await withLock(file(), async () => 1), 1);
    writeFileSync(file(), '');
    assert.equal(await withLock(file(), async () => 2), 2);
  });

  it('is not taken from a process that is alive', async () => {
    await withLock(file(), async () => {});
    writeFileSync(file(), String(process.ppid));
    let worked = false;
    const waiting = withLock(file(), async () => {
      worked = true;
    });
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(worked, false);
    writeFileSync(file(), String(spawnSync(process.execPath, ['--version']).pid));
    await waiting;
    assert.equal(worked, true);
  });
});
