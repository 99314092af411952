import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TimingWheel, WheelEntry, WheelTimer } from '../../../../sidecar/runtime/time/timing-wheel.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const BLOCK_MS = 2 ** 30 * 4;
/** One slot of rounding, one millisecond of the system timer. */
const MAX_LATE_MS = 5;

class Probe extends WheelEntry {
  firedAtMs: number[] = [];
  onFire: () => void = () => {};
  constructor(private readonly clock: ManualClock) {
    super();
  }
  fire(): void {
    this.firedAtMs.push(this.clock.now());
    this.onFire();
  }
}

function setUp(nowMs = 1_000) {
  const clock = new ManualClock(nowMs);
  const wheel = new TimingWheel(clock, clock);
  const probes = Array.from({ length: 8 }, () => new Probe(clock));
  return { clock, wheel, probes, probe: probes[0]!, other: probes[1]! };
}

describe('TimingWheel', () => {
  const delays = [
    0, 0.5, 1, 3.9, 4, 4.1, 255, 256, 257, 1_000, 15_000, 16_384, 70_000, 3_600_000, 360_000_000,
  ];
  for (const delayMs of delays)
    it(`fires once, never early and at most 5 ms late, after ${delayMs} ms`, () => {
      const { clock, wheel, probe } = setUp(1_001.3);
      const dueMs = clock.now() + delayMs;
      wheel.add(probe, dueMs);
      clock.advance(delayMs + 100);
      assert.equal(probe.firedAtMs.length, 1);
      const lateMs = probe.firedAtMs[0]! - dueMs;
      assert.ok(lateMs >= 0 && lateMs <= MAX_LATE_MS, `${lateMs} ms late`);
      assert.equal(wheel.size, 0);
      assert.equal(clock.pending(), 0);
    });

  it('arms nothing while it is empty', () => {
    const { clock } = setUp();
    assert.equal(clock.pending(), 0);
  });

  it('sleeps after the last entry was cancelled, once the armed wake has passed', () => {
    const { clock, wheel, probe } = setUp();
    wheel.add(probe, clock.now() + 15_000);
    wheel.cancel(probe);
    assert.equal(probe.isScheduled, false);
    clock.advance(15_000);
    assert.equal(clock.pending(), 0);
    assert.deepEqual(probe.firedAtMs, []);
  });

  it('arms a handful of system timers for 100,000 deadlines set and cancelled in a second', () => {
    const { clock, wheel, probes } = setUp();
    for (let i = 0; i < 100_000; i += 1) {
      const probe = probes[i % 8]!;
      wheel.cancel(probe);
      wheel.add(probe, clock.now() + 15_000);
      clock.advance(0.01);
    }
    assert.ok(wheel.arms <= 5, `${wheel.arms} armed`);
    for (const probe of probes) wheel.cancel(probe);
    clock.advance(40_000);
    assert.equal(clock.pending(), 0);
    assert.ok(wheel.arms <= 8, `${wheel.arms} armed`);
  });

  it('arms anew for an entry that is due before all others', () => {
    const { clock, wheel, probe, other } = setUp();
    wheel.add(probe, clock.now() + 15_000);
    wheel.add(other, clock.now() + 50);
    assert.equal(clock.pending(), 1);
    clock.advance(60);
    assert.equal(other.firedAtMs.length, 1);
    clock.advance(15_000);
    assert.equal(probe.firedAtMs.length, 1);
  });

  it('moves an entry that is added again', () => {
    const { clock, wheel, probe } = setUp();
    wheel.add(probe, clock.now() + 100);
    wheel.add(probe, clock.now() + 500);
    assert.equal(wheel.size, 1);
    clock.advance(400);
    assert.deepEqual(probe.firedAtMs, []);
    clock.advance(200);
    assert.equal(probe.firedAtMs.length, 1);
  });

  it('fires a time in the past soon, and not within add', () => {
    const { clock, wheel, probe } = setUp();
    wheel.add(probe, clock.now() - 10_000);
    assert.deepEqual(probe.firedAtMs, []);
    clock.advance(MAX_LATE_MS);
    assert.equal(probe.firedAtMs.length, 1);
  });

  it('never fires an entry for an infinite time, and refuses NaN', () => {
    const { clock, wheel, probe } = setUp();
    wheel.add(probe, Number.POSITIVE_INFINITY);
    clock.advance(10 * 24 * 3_600_000);
    assert.deepEqual(probe.firedAtMs, []);
    assert.throws(() => wheel.add(probe, Number.NaN), RangeError);
    assert.equal(wheel.size, 0);
    assert.equal(probe.isScheduled, false);
  });

  it('does not fire an entry that another cancelled in the same slot', () => {
    const { clock, wheel, probe, other } = setUp();
    probe.onFire = () => wheel.cancel(other);
    wheel.add(probe, clock.now() + 20);
    wheel.add(other, clock.now() + 20);
    clock.advance(100);
    assert.equal(probe.firedAtMs.length, 1);
    assert.deepEqual(other.firedAtMs, []);
    assert.equal(clock.pending(), 0);
  });

  it('lets an entry schedule itself again while it fires, without looping in one wake', () => {
    const { clock, wheel, probe } = setUp();
    probe.onFire = () => {
      assert.ok(probe.firedAtMs.length < 100, 'loops');
      wheel.add(probe, clock.now() - 50);
    };
    wheel.add(probe, clock.now());
    clock.advance(100);
    const times = probe.firedAtMs.length;
    assert.ok(times >= 15 && times <= 26, `${times} times`);
  });

  it('fires the others after one of them threw', () => {
    const { clock, wheel, probe, other } = setUp();
    probe.onFire = () => {
      throw new Error('broken entry');
    };
    wheel.add(probe, clock.now() + 20);
    wheel.add(other, clock.now() + 20);
    assert.throws(() => clock.advance(30), /broken entry/);
    clock.advance(30);
    assert.equal(other.firedAtMs.length, 1);
    assert.equal(wheel.size, 0);
  });

  it('fires everything overdue after the process stood still', () => {
    const { clock, wheel, probes } = setUp();
    probes.forEach((probe, i) => void wheel.add(probe, clock.now() + 10 ** i / 100));
    clock.stall(200_000);
    for (const probe of probes) assert.equal(probe.firedAtMs.length, 1);
  });

  it('is exact across the end of a block of its highest level', () => {
    for (const blocks of [1, 4]) {
      const { clock, wheel, probe, other } = setUp(BLOCK_MS * blocks - 1_000);
      wheel.add(probe, clock.now() + 998);
      wheel.add(other, clock.now() + 1_500);
      clock.advance(1_003);
      assert.equal(probe.firedAtMs.length, 1);
      assert.deepEqual(other.firedAtMs, []);
      clock.advance(500);
      assert.equal(other.firedAtMs.length, 1);
      assert.equal(clock.pending(), 0);
    }
  });

  it('calls the function of a WheelTimer', () => {
    const { clock, wheel } = setUp();
    let calls = 0;
    wheel.add(new WheelTimer(() => (calls += 1)), clock.now() + 8);
    clock.advance(20);
    assert.equal(calls, 1);
  });

  it('agrees with a list of due times, whatever is added, cancelled and awaited, in calls and while firing', () => {
    const within = (min: number, max: number) => fc.double({ min, max, noNaN: true });
    const delay = fc.oneof(within(-10, 30), within(0, 600), within(0, 40_000), within(0, 5_000_000));
    const index = fc.nat(7);
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.constant('add' as const), index, delay) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('cancel' as const), index, fc.constant(0)) },
    );
    const step = fc.oneof(
      { weight: 4, arbitrary: act },
      { weight: 3, arbitrary: fc.tuple(fc.constant('wait' as const), fc.constant(0), delay) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('stall' as const), fc.constant(0), delay) },
    );
    const many = <T>(each: fc.Arbitrary<T>, maxLength: number) => fc.array(each, { maxLength });
    const origin = fc.oneof(within(0, 1e7), within(BLOCK_MS - 50_000, BLOCK_MS + 10));
    fc.assert(
      fc.property(origin, many(step, 60), many(act, 20), (originMs, steps, whileFiring) => {
        const { clock, wheel, probes } = setUp(originMs);
        const due = new Map<number, number>();
        const inner = [...whileFiring];
        let stalledUntilMs = 0;
        const apply = ([kind, i, delayMs]: readonly ['add' | 'cancel', number, number]): void => {
          if (kind === 'add') {
            wheel.add(probes[i]!, clock.now() + delayMs);
            due.set(i, Math.max(clock.now() + delayMs, clock.now()));
          } else {
            wheel.cancel(probes[i]!);
            due.delete(i);
          }
        };
        probes.forEach((probe, i) => {
          probe.onFire = () => {
            const dueMs = due.get(i);
            assert.ok(dueMs !== undefined, 'fired without being scheduled');
            due.delete(i);
            assert.ok(clock.now() >= probe.dueMs, 'fired early');
            const latestMs = Math.max(dueMs + MAX_LATE_MS, stalledUntilMs);
            assert.ok(clock.now() <= latestMs, `fired ${clock.now() - dueMs} ms late`);
            const next = inner.shift();
            if (next !== undefined) apply(next);
          };
        });
        for (const [kind, i, ms] of steps) {
          if (kind === 'wait') clock.advance(Math.max(0, ms));
          else if (kind === 'stall') {
            stalledUntilMs = clock.now() + Math.max(0, ms) + MAX_LATE_MS;
            clock.stall(Math.max(0, ms));
          } else apply([kind, i, ms]);
          assert.equal(wheel.size, due.size);
          probes.forEach((probe, j) => void assert.equal(probe.isScheduled, due.has(j)));
        }
        // What is added while something fires may be as far off again, each time.
        for (let i = 0; i <= whileFiring.length; i += 1) clock.advance(6_000_000);
        assert.equal(due.size, 0, 'something was never fired');
        assert.equal(clock.pending(), 0, 'a timer is left');
      }),
      { numRuns: 400 },
    );
  });
});
