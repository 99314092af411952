import assert from 'node:assert/strict';
import { MirrorScheduler, type MirrorTask } from '../../../../sidecar/outbound/mirror/scheduler.js';
import { Stack } from '../../../kit/stack/stack.js';

describe('The scheduler of a mirror', () => {
  let stack: Stack;
  let desk: MirrorScheduler;
  let done: string[];

  beforeEach(() => {
    stack = new Stack();
    desk = new MirrorScheduler(stack.context);
    done = [];
  });
  afterEach(() => desk.stop());

  /** Comparing takes time: the clock moves on while it is done. */
  function task(name: string, tookMs = 0): MirrorTask {
    return {
      run: () => {
        stack.clock.advance(tookMs);
        done.push(name);
      },
      drop: () => void done.push(`${name} dropped`),
    };
  }

  it('the scheduler of a mirror does nothing in the turn in which it is asked', () => {
    desk.send(task('copy'));
    assert.ok(desk.compare(task('pair')));
    assert.deepEqual(done, []);
    stack.advance(10);
    assert.deepEqual(done, ['copy', 'pair']);
    assert.equal(stack.context.wheel.size, 0);
  });

  it('responses are compared a little at a time', () => {
    for (let i = 0; i < 6; i++) desk.compare(task(`pair ${i}`, 1));
    while (done.length === 0) stack.clock.advance(1);
    assert.equal(done.length, 2);
    stack.advance(100);
    assert.equal(done.length, 6);
  });

  it('comparing has 20 ms of each second, and a comparison that takes longer delays the next', () => {
    for (let i = 0; i < 60; i++) desk.compare(task(`pair ${i}`, 10));
    const startMs = stack.clock.now();
    while (stack.clock.now() - startMs < 20_000) stack.advance(50);
    // 20 s allow 400 ms, what was saved before 20 ms more, and one may begin with little left.
    assert.ok(done.length >= 38 && done.length <= 43, String(done.length));
  });

  it('64 comparisons may wait, and copies are sent however many do', () => {
    let taken = 0;
    while (desk.compare(task('pair', 100))) taken++;
    assert.equal(taken, 64);
    stack.advance(200);
    const before = done.length;
    desk.send(task('copy'));
    stack.advance(10);
    assert.deepEqual(done.slice(before), ['copy']);
  });

  it('tasks that are left when the scheduler stops are dropped', () => {
    desk.send(task('copy'));
    desk.compare(task('pair'));
    desk.stop();
    assert.deepEqual(done, ['copy dropped', 'pair dropped']);
    assert.equal(stack.context.wheel.size, 0);
  });
});
