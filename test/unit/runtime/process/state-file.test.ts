/** A small file that outlives the process. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger } from '../../../../sidecar/runtime/log/logger.js';
import { StateFile } from '../../../../sidecar/runtime/process/state-file.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { until } from '../../../kit/process/processes.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('a state file', () => {
  const scratch = scratchForEach();
  let lines: string[];
  let clock: ManualClock;
  const open = (path: string): StateFile =>
    new StateFile(
      join(scratch.path, path),
      createLogger({ level: 'info', destination: { write: (line) => void lines.push(line) } }),
      clock,
    );
  beforeEach(() => {
    lines = [];
    clock = new ManualClock();
  });

  it('is read as it was written last, without a word where there is none', async () => {
    assert.equal(open('a/models.json').read(), undefined);
    const file = open('a/models.json');
    for (let i = 0; i <= 20; i++) file.write({ i });
    await until(
      'the last is written',
      () => (open('a/models.json').read() as { i: number } | undefined)?.i === 20,
    );
    assert.deepEqual(readdirSync(join(scratch.path, 'a')), ['models.json']);
    assert.deepEqual(lines, []);
  });

  it('is written before a flush returns, and not again by a write that was under way', async () => {
    const file = open('models.json');
    file.write({ i: 1 });
    await Promise.resolve();
    file.write({ i: 2 });
    file.flush();
    assert.deepEqual(open('models.json').read(), { i: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    file.write({ i: 3 });
    await until('the next is written', () => (open('models.json').read() as { i: number }).i === 3);
  });

  it('is not written by a process that has left it to another, nor by its write that was under way', async () => {
    const file = open('models.json');
    file.write({ i: 1 });
    await Promise.resolve();
    file.write({ i: 2 });
    const left = file.leave();
    assert.deepEqual(open('models.json').read(), { i: 2 });
    writeFileSync(join(scratch.path, 'models.json'), '{"i":"of the successor"}');
    file.write({ i: 3 });
    file.flush();
    await left;
    assert.deepEqual(readdirSync(scratch.path), ['models.json']);
    assert.deepEqual(open('models.json').read(), { i: 'of the successor' });
  });

  it('holds what was being written as soon as it is flushed or left', async () => {
    for (const end of ['flush', 'leave'] as const) {
      const file = open(`${end}.json`);
      file.write({ i: 1 });
      await Promise.resolve();
      void file[end]();
      assert.deepEqual(open(`${end}.json`).read(), { i: 1 }, end);
    }
    await until('no other is left', () => readdirSync(scratch.path).join(' ') === 'flush.json leave.json');
  });

  it('that could not be written is tried again after 10 s, with the newest value', async () => {
    mkdirSync(join(scratch.path, 'models.json', 'taken'), { recursive: true });
    const file = open('models.json');
    file.write({ i: 1 });
    await until('the problem is said', () => clock.pending() === 1);
    file.write({ i: 2 });
    await clock.settle(10_000);
    await until('it has failed again', () => clock.pending() === 1);
    rmSync(join(scratch.path, 'models.json'), { recursive: true });
    await clock.settle(10_000);
    await until('it is written', () => existsSync(join(scratch.path, 'models.json')));
    assert.deepEqual(open('models.json').read(), { i: 2 });
    assert.deepEqual([lines.length, clock.pending()], [1, 0]);
    assert.deepEqual(readdirSync(scratch.path), ['models.json']);
  });

  it('that could not be written is written by the next flush', async () => {
    mkdirSync(join(scratch.path, 'models.json', 'taken'), { recursive: true });
    const file = open('models.json');
    file.write({ i: 1 });
    await until('the problem is said', () => lines.length === 1);
    file.flush();
    rmSync(join(scratch.path, 'models.json'), { recursive: true });
    file.flush();
    assert.deepEqual(open('models.json').read(), { i: 1 });
    assert.deepEqual([lines.length, clock.pending()], [1, 0]);
  });

  it('that could not be written is not tried again once it is left', async () => {
    mkdirSync(join(scratch.path, 'models.json', 'taken'), { recursive: true });
    const file = open('models.json');
    file.write({ i: 1 });
    await until('the problem is said', () => lines.length === 1);
    await file.leave();
    assert.equal(clock.pending(), 0);
  });

  it('is said and ignored when it cannot be read, and said once when it cannot be written', async () => {
    writeFileSync(join(scratch.path, 'models.json'), '{"a":');
    assert.equal(open('models.json').read(), undefined);
    writeFileSync(join(scratch.path, 'large.json'), JSON.stringify('x'.repeat(1024 * 1024)));
    assert.equal(open('large.json').read(), undefined);
    assert.match(lines[0]!, /a state file is ignored/);
    assert.match(lines[1]!, /1048578 bytes/);
    mkdirSync(join(scratch.path, 'taken', 'models.json'), { recursive: true });
    const file = open('taken/models.json');
    for (const i of [1, 2]) {
      file.write({ i });
      file.flush();
    }
    assert.equal(lines.filter((line) => /cannot be written/.test(line)).length, 1);
    chmodSync(scratch.path, 0o700);
    assert.match(readFileSync(join(scratch.path, 'models.json'), 'utf8'), /^\{"a":$/);
  });

  it('is said, and ends no process, where the place of its directory is a file', async () => {
    writeFileSync(join(scratch.path, 'taken'), '');
    const file = open('taken/models.json');
    file.write({ i: 1 });
    await until('the problem is said', () => lines.length === 1);
    file.write({ i: 2 });
    file.flush();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /a state file cannot be written/);
  });
});
