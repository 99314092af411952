import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

  it('that is gone, or that another process has made since, is let go of in silence', () => {
    lock().acquire();
    rmSync(lock().path);
    lock().release();
    writeFileSync(lock().path, `${process.ppid} 1`);
    lock().release();
    assert.ok(existsSync(lock().path), 'it is not ours');
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

  it('that was left behind is taken by one of several processes, and leaves no other file', async () => {
    const module = new URL('../../../../sidecar/runtime/process/lock-file.js', import.meta.url).href;
    const program = `
      const { LockFile } = await import(${JSON.stringify(module)});
      const lock = new LockFile(process.argv[1]);
      process.on('message', () => {
        try { lock.acquire(); process.send('has it'); } catch (error) { process.send(error.message); }
      });
      process.send('ready');`;
    const children = [1, 2, 3].map(() =>
      spawn(process.execPath, ['--input-type=module', '-e', program, lock().path], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
    );
    try {
      await Promise.all(children.map((child) => once(child, 'message')));
      for (let round = 0; round < 20; round++) {
        writeFileSync(lock().path, `${process.ppid} 1`);
        const said = children.map((child) => once(child, 'message'));
        for (const child of children) child.send('go');
        const answers = (await Promise.all(said)).flat().filter((each) => typeof each === 'string');
        assert.equal(answers.filter((answer) => answer === 'has it').length, 1, answers.join('; '));
        assert.deepEqual(readdirSync(scratch.path), ['x.lock']);
      }
    } finally {
      for (const child of children) child.kill('SIGKILL');
    }
  });

  it('fails with the reason where it cannot be made', () => {
    assert.throws(() => new LockFile(join(scratch.path, 'none/x.lock')).acquire(), /ENOENT/);
  });
});
