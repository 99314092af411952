/** The place that replicas on one machine agree in. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileStore } from '../../../../../sidecar/app/models/rollout/file-store.js';
import { draftOf } from '../../../../../sidecar/runtime/process/lock-file.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';
import { until } from '../../../../kit/process/processes.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

describe('rollouts in a directory', () => {
  const scratch = scratchForEach();
  let timers: ManualClock;
  let nowMs = 0;
  let stepMs = 0;
  const clock = { now: () => nowMs, wallNow: () => Date.now() + stepMs };
  beforeEach(() => {
    [nowMs, stepMs] = [0, 0];
    timers = new ManualClock();
  });
  const open = (instance: string, mayShareName?: () => boolean): FileStore =>
    new FileStore(join(scratch.path, 'mine'), instance, { clock, timers }, mayShareName);

  /** The first process of the machine runs for as long as the machine does; its mark is as in lock-file.ts. */
  function firstProcess(): string {
    const stat = readFileSync('/proc/1/stat', 'latin1');
    return `1 ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  }

  it('take a write from the one that has read the last record, and from no other', async () => {
    const [one, other] = [open('mine-1'), open('mine-2')];
    assert.equal(await one.read(), undefined);
    assert.equal(await one.write({ step: 1 }, undefined, 'command'), true);
    assert.equal(await other.write({ step: 'first too' }, undefined, 'command'), false);
    const { value, index } = (await other.read())!;
    assert.deepEqual(value, { step: 1 });
    assert.equal(await other.write({ step: 2 }, index, 'leader'), true);
    assert.equal(await one.write({ step: 'late' }, index, 'command'), false);
    await other.resign();
    assert.deepEqual(((await one.read())!.value as { step: number }).step, 2);
  });

  it('have no leader while a process that runs has the lock, and one as soon as it is gone', async () => {
    const one = open('mine-1');
    await one.announce({});
    const lock = join(scratch.path, 'mine', 'leader.lock');
    writeFileSync(lock, firstProcess());
    assert.equal(await one.lead(), false);
    assert.equal(await one.write({ step: 1 }, undefined, 'leader'), false);
    writeFileSync(lock, '1 0');
    assert.equal(await one.lead(), true);
    assert.equal(await one.lead(), true);
  });

  // Containers that share the directory: neither can look up the other's process.
  it('have no leader while a process of another container leads, and one once that is silent', async () => {
    const one = open('mine-1');
    await one.announce({});
    const lock = join(scratch.path, 'mine', 'leader.lock');
    writeFileSync(lock, `${firstProcess()} another-boot/1`);
    assert.equal(await one.lead(), false);
    const longAgo = new Date(Date.now() - 16_000);
    utimesSync(lock, longAgo, longAgo);
    assert.equal(await one.lead(), true);
    await one.close();
    assert.equal(timers.pending(), 0);
  });

  it('are led no more by one whose lock another process has got', async () => {
    const one = open('mine-1');
    assert.equal(await one.lead(), true);
    writeFileSync(join(scratch.path, 'mine', 'leader.lock'), `${firstProcess()} another-boot/1`);
    timers.advance(3_000);
    await until('it has seen that', async () => !(await one.lead()));
  });

  it('say what keeps a lock from being made, and take it for no other process', async () => {
    const one = open('mine-1');
    await one.announce({});
    for (const lock of ['rollout', 'leader', 'recycle'])
      mkdirSync(draftOf(join(scratch.path, 'mine', `${lock}.lock`)));
    const problem = (lock: string) =>
      new RegExp(`^Error: the lock .*/${lock}\\.lock cannot be taken: EISDIR: `);
    await assert.rejects(one.write({ step: 1 }, undefined, 'command'), problem('rollout'));
    await assert.rejects(one.lead(), problem('leader'));
    await assert.rejects(one.take('recycle'), problem('recycle'));
  });

  it('have one process of each name, and of a takeover the next one as soon as the name is free', async () => {
    const one = open('mine-1');
    await one.claim();
    await one.claim();
    await open('mine-2').claim();
    const lock = join(scratch.path, 'mine', 'mine-1.name.lock');
    await one.close();
    assert.equal(existsSync(lock), false);
    writeFileSync(lock, firstProcess());
    await assert.rejects(open('mine-1').claim(), /^Error: another process has the instance name mine-1 in /);
    let isSuccessor = true;
    const successor = open('mine-1', () => isSuccessor);
    await successor.claim();
    isSuccessor = false;
    await assert.rejects(successor.claim(), /another process has the instance name/);
    writeFileSync(lock, '1 0');
    await successor.claim();
  });

  it('know what the replicas say that have said something of late', async () => {
    const [one, other] = [open('mine-1'), open('mine-2')];
    await one.announce({ instance: 'mine-1' });
    await other.announce({ instance: 'mine-2' });
    assert.deepEqual(await one.received(), [{ instance: 'mine-1' }, { instance: 'mine-2' }]);
    const longAgo = new Date(Date.now() - 11_000);
    utimesSync(join(scratch.path, 'mine', 'mine-2.facts.json'), longAgo, longAgo);
    assert.deepEqual(await open('mine-3').received(), [{ instance: 'mine-1' }]);
    await one.close();
    assert.deepEqual(await open('mine-3').received(), []);
  });

  for (const step of [-3_600_000, 3_600_000])
    it(`know that whatever the clock does meanwhile: it is set by ${step} ms`, async () => {
      const [one, other] = [open('mine-1'), open('mine-2')];
      await one.announce({ instance: 'mine-1' });
      await other.announce({ instance: 'mine-2' });
      const both = [{ instance: 'mine-1' }, { instance: 'mine-2' }];
      assert.deepEqual(await one.received(), both);
      stepMs = step;
      const announce = async (store: FileStore, instance: string): Promise<void> => {
        await store.announce({ instance });
        const time = new Date(clock.wallNow());
        utimesSync(join(scratch.path, 'mine', `${instance}.facts.json`), time, time);
      };
      nowMs += 9_000;
      await announce(one, 'mine-1');
      assert.deepEqual(await one.received(), both, 'not yet');
      nowMs += 1_000;
      assert.deepEqual(await one.received(), [both[0]], 'the other one has ended');
      await announce(other, 'mine-2');
      assert.deepEqual(await one.received(), both, 'it is back');
      assert.deepEqual(await open('mine-3').received(), both);
    });

  it('take what was said in the future for ten seconds, until they have seen that it does not change', async () => {
    const one = open('mine-1');
    await one.announce({ instance: 'mine-1' });
    stepMs = -3_600_000;
    const other = open('mine-2');
    assert.deepEqual(await other.received(), [{ instance: 'mine-1' }]);
    nowMs += 10_000;
    assert.deepEqual(await other.received(), []);
  });

  it('have locks of other names beside that of the leader', async () => {
    const one = open('mine-1');
    assert.equal(await one.take('recycle'), true);
    assert.equal(await one.take('recycle'), true);
    assert.equal(
      readFileSync(join(scratch.path, 'mine', 'recycle.lock'), 'utf8').startsWith(`${process.pid} `),
      true,
    );
    await one.give('recycle');
    await one.give('recycle');
    assert.throws(() => readFileSync(join(scratch.path, 'mine', 'recycle.lock')), /ENOENT/);
  });

  it('pass over a record that is torn', async () => {
    const one = open('mine-1');
    await one.write({ step: 1 }, undefined, 'command');
    writeFileSync(join(scratch.path, 'mine', 'rollout.json'), '{"index":1,"val');
    assert.equal(await one.read(), undefined);
    assert.equal(await one.write({ step: 2 }, undefined, 'command'), true);
  });
});
