import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LockFile } from '../../../../sidecar/runtime/process/lock-file.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { until } from '../../../kit/process/processes.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

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

  describe('from where processes cannot be looked up', () => {
    const place = () => readFileSync(lock().path, 'utf8').split(' ')[2]!;
    const age = (ms: number): void => {
      const at = new Date(Date.now() - ms);
      utimesSync(lock().path, at, at);
    };

    it('keeps others out, also those with its id and start time, while it is refreshed', () => {
      lock().acquire();
      const own = readFileSync(lock().path, 'utf8');
      const boot = place().split('/')[0];
      for (const other of ['another-boot/1', `${boot}/1`]) {
        writeFileSync(lock().path, own.replace(place(), other));
        assert.throws(() => lock().acquire(), /process \d+ of another container or machine is writing it/);
        assert.ok(existsSync(lock().path));
        writeFileSync(lock().path, own);
      }
    });

    it('counts for nothing once it has not been refreshed for 15 s, or is of a time far ahead', () => {
      for (const ms of [16_000, -3_600_000]) {
        writeFileSync(lock().path, '7 1 another-boot/1');
        age(ms);
        lock().acquire();
        lock().release();
      }
    });

    it('is refreshed by its process, which learns when another has got it', async () => {
      const clock = new ManualClock();
      let lost = 0;
      lock().acquire();
      const timer = lock().keep(clock, () => lost++);
      for (let i = 0; i < 2; i++) {
        age(14_000);
        clock.advance(3_000);
        await until('it is refreshed', () => Date.now() - statSync(lock().path).mtimeMs < 10_000);
      }
      assert.equal(lost, 0);
      writeFileSync(lock().path, '7 1 another-boot/1');
      clock.advance(3_000);
      await until('it is told', () => lost === 1);
      assert.equal(readFileSync(lock().path, 'utf8'), '7 1 another-boot/1');
      assert.equal(clock.pending(), 0);
      timer.cancel();
    });
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
