import assert from 'node:assert/strict';
import { ErrorShift } from '../../../../sidecar/core/foresight/error-shift.js';
import { seeded } from '../../../kit/time/seeded-random.js';

class Watched {
  readonly errors = new ErrorShift();
  now = 0;
  private readonly random = seeded(8);

  /** Seconds until the alarm, or all of them. */
  seconds(count: number, failing: number, { perSecond = 40, peers = 0.002 } = {}): number {
    for (let second = 1; second <= count; second += 1) {
      this.now += 1_000;
      let faults = 0;
      for (let call = 0; call < perSecond; call += 1) if (this.random() < failing) faults += 1;
      this.errors.observe(perSecond - faults, faults, this.now);
      this.errors.judge(peers);
      if (this.errors.level >= 0.5) return second;
    }
    return count;
  }
}

describe('a shift of failures', () => {
  it('finds one call in twenty within some hundred calls', () => {
    for (const perSecond of [1, 40, 1_000]) {
      const watched = new Watched();
      watched.seconds(400, 0.001, { perSecond });
      assert.ok(watched.seconds(400, 0.05, { perSecond }) * perSecond < 1_000 + 5 * perSecond);
      assert.match(watched.errors.why, /^\d+\.\d % of its calls fail of late, where 0\.\d % is usual$/);
    }
  });

  it('finds nothing in twelve hours at the ordinary share, nor at one that is usual here', () => {
    const ordinary = new Watched();
    assert.equal(ordinary.seconds(43_200, 0.002), 43_200);
    const usual = new Watched();
    for (let share = 0.002; share < 0.02; share += 0.001) assert.equal(usual.seconds(300, share), 300);
    assert.equal(usual.seconds(20_000, 0.02), 20_000);
  });

  it('finds nothing that its peers have too', () => {
    const watched = new Watched();
    watched.seconds(60, 0.002);
    assert.equal(watched.seconds(600, 0.05, { peers: 0.05 }), 600);
  });

  it('takes for usual what its first calls are like, and what has stayed for a quarter of an hour', () => {
    const watched = new Watched();
    for (let second = 0; second < 10; second += 1) assert.equal(watched.seconds(1, 0.04), 1);
    assert.equal(watched.seconds(1_000, 0.04), 1_000);
    for (let second = 0; second < 3_000; second += 1) watched.seconds(1, 0.3);
    assert.ok(watched.errors.level < 0.2, String(watched.errors.level));
  });

  it('fades without calls, and is forgotten', () => {
    const watched = new Watched();
    watched.seconds(60, 0.002);
    assert.ok(watched.seconds(100, 0.2) < 10);
    assert.equal(watched.seconds(400, 0, { perSecond: 0 }), 1);
    for (let second = 0; second < 400; second += 1) watched.errors.judge(0);
    assert.ok(watched.errors.level < 0.2);
    watched.seconds(100, 0.2);
    watched.errors.forget();
    assert.equal(watched.errors.level, 0);
    assert.ok(watched.errors.recentShare < 0.003);
  });
});
