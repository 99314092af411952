import assert from 'node:assert/strict';
import { EventLoopMonitor } from '../../../../sidecar/runtime/process/event-loop-monitor.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

function setUp() {
  const clock = new ManualClock();
  const watch = new EventLoopMonitor(clock, clock, () => true);
  return { clock, watch };
}

describe('LoopWatch', () => {
  it('arms no timer until it is woken, and none after it is put to rest', () => {
    const { clock, watch } = setUp();
    assert.equal(clock.pending(), 0);
    watch.start();
    watch.start();
    assert.equal(clock.pending(), 1);
    watch.stop();
    watch.stop();
    assert.equal(clock.pending(), 0);
    assert.equal(watch.isRunning, false);
  });

  it('goes to rest by itself at the first beat without work, and can be woken again', () => {
    const clock = new ManualClock();
    let isBusy = true;
    const watch = new EventLoopMonitor(clock, clock, () => isBusy);
    watch.start();
    clock.advance(1_000);
    assert.equal(watch.isRunning, true);
    isBusy = false;
    clock.stall(500); // the last beat before the rest still sees what happened
    assert.equal(clock.pending(), 0);
    assert.equal(watch.stalls, 1);
    watch.start();
    assert.equal(watch.isRunning, true);
    watch.stop();
  });

  it('sees no stall while every beat comes on time', () => {
    const { clock, watch } = setUp();
    watch.start();
    clock.advance(10_000);
    assert.equal(watch.hasStalled(10_000), false);
    assert.equal(watch.stalls, 0);
  });

  for (const [lateMs, isStall] of [
    [99, false],
    [100, true],
    [5_000, true],
  ] as const) {
    it(`${isStall ? 'takes' : 'does not take'} a beat ${lateMs} ms late for a stall`, () => {
      const { clock, watch } = setUp();
      watch.start();
      clock.stall(50 + lateMs);
      assert.equal(watch.hasStalled(1), isStall);
      assert.equal(watch.stalls, isStall ? 1 : 0);
      assert.equal(watch.lastStallMs, isStall ? lateMs : 0);
    });
  }

  it('shows a stall to a timer that runs before the late beat', () => {
    const { clock, watch } = setUp();
    const seen: boolean[] = [];
    clock.after(60, () => void seen.push(watch.hasStalled(0)));
    watch.start();
    clock.advance(40);
    clock.after(5, () => void seen.push(watch.hasStalled(0)));
    clock.stall(3_000);
    assert.deepEqual(seen, [true, true]);
    assert.equal(watch.stalls, 1);
  });

  it('forgets a stall after the time asked about, exactly', () => {
    const { clock, watch } = setUp();
    watch.start();
    clock.stall(1_000);
    assert.equal(watch.hasStalled(0), true);
    clock.advance(500);
    assert.equal(watch.hasStalled(499), false);
    assert.equal(watch.hasStalled(500), true);
  });

  it('does not take a rest for a stall', () => {
    const { clock, watch } = setUp();
    watch.start();
    clock.advance(200);
    watch.stop();
    clock.advance(60_000);
    watch.start();
    clock.advance(200);
    assert.equal(watch.hasStalled(60_000), false);
  });

  it('remembers across a rest a stall seen as the rest begins', () => {
    const { clock, watch } = setUp();
    watch.start();
    clock.stall(900);
    watch.stop();
    assert.equal(watch.hasStalled(10), true);
    clock.advance(11);
    assert.equal(watch.hasStalled(10), false);
  });
});
