import assert from 'node:assert/strict';
import { LatencyShift } from '../../../../sidecar/core/foresight/latency-shift.js';
import { likeMeasured } from '../../../kit/core/foresight.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/** Kind 0 takes 2 ms, kind 1 takes 200 ms. */
class Watched {
  readonly shift = new LatencyShift();
  now = 0;
  private readonly random = seeded(6);
  private readonly noise = likeMeasured(this.random, () => 1);

  /** @param slow share of the calls that are of the slow kind. */
  seconds(count: number, { slow = 0, factor = 1, perSecond = 40, generation = 1, common = 0 } = {}): void {
    for (let second = 0; second < count; second += 1) {
      this.now += 1_000;
      for (let call = 0; call < perSecond; call += 1) {
        const kind = this.random() < slow ? 1 : 0;
        this.shift.observe(kind, generation, (kind === 0 ? 2 : 200) * factor * this.noise(), this.now);
      }
      this.shift.closeBlock(this.now);
      this.shift.judge(common);
    }
  }
}

describe('a shift of latency', () => {
  it('is none where the mix of calls changes', () => {
    const watched = new Watched();
    watched.seconds(120, { slow: 0.1 });
    let highest = 0;
    for (const slow of [0.9, 0.1, 1, 0]) {
      watched.seconds(60, { slow });
      highest = Math.max(highest, watched.shift.level);
    }
    assert.ok(highest < 0.2, String(highest));
  });

  it('is found within the kinds, whatever the mix', () => {
    const watched = new Watched();
    watched.seconds(120, { slow: 0.5 });
    watched.seconds(10, { slow: 0.5, factor: 1.5 });
    assert.ok(watched.shift.level >= 0.5);
    assert.match(watched.shift.why, /^median latency 1\.5 times what is usual/);
  });

  it('is not that of a kind whose number has gone to another', () => {
    const watched = new Watched();
    watched.seconds(60);
    watched.seconds(60, { generation: 2, factor: 100 });
    assert.ok(watched.shift.level < 0.2);
  });

  it('is less what all show, and is known to peers for half a minute', () => {
    const watched = new Watched();
    watched.seconds(60);
    watched.seconds(10, { factor: 2, common: Math.log(2) });
    assert.ok(watched.shift.level < 0.2);
    assert.ok(Math.abs(watched.shift.shiftAt(watched.now)! - Math.log(2)) < 0.1);
    assert.equal(watched.shift.shiftAt(watched.now + 30_000), undefined);
  });

  it('waits for twenty calls where there are few', () => {
    const watched = new Watched();
    watched.seconds(60);
    watched.seconds(3, { perSecond: 5, factor: 3 });
    assert.ok(watched.shift.level < 0.2);
    watched.seconds(30, { perSecond: 5, factor: 3 });
    assert.ok(watched.shift.level >= 0.5);
  });

  it('does not become usual while it is suspicious, and does when it stays for a quarter of an hour', () => {
    const watched = new Watched();
    watched.seconds(120);
    watched.seconds(600, { factor: 2 });
    assert.equal(watched.shift.level, 1);
    watched.seconds(2_400, { factor: 2 });
    assert.ok(watched.shift.level < 0.2, String(watched.shift.level));
  });

  it('is learned anew once forgotten, and without what is dropped', () => {
    const watched = new Watched();
    watched.seconds(60);
    watched.shift.forget();
    watched.seconds(60, { factor: 5 });
    assert.ok(watched.shift.level < 0.2);
    for (let call = 0; call < 40; call += 1) watched.shift.observe(0, 1, 1_000, watched.now);
    watched.shift.drop();
    watched.seconds(1, { factor: 5 });
    assert.ok(watched.shift.shiftAt(watched.now)! < 0.2);
  });
});
