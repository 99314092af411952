import assert from 'node:assert/strict';
import { EarlierLosses } from '../../../../sidecar/core/retry/earlier-losses.js';

const KILLER = { fingerprint: 'killer', bytes: 10 };
const MINUTES = 60_000;

describe('Engines that were lost under earlier calls', () => {
  const engines = Array.from({ length: 30 }, () => ({}));
  const loss = (engine: object | null, sentMs: number, lostMs: number, weight = () => 10) => ({
    ...{ engine, sentMs, lostMs, weight },
  });

  it('weigh against the same request that comes later, as much as is known then', () => {
    const earlier = new EarlierLosses();
    let known = 0;
    earlier.add(KILLER, loss(engines[0]!, 0, 100));
    earlier.add(
      KILLER,
      loss(engines[1]!, 200, 300, () => known),
    );
    assert.equal(earlier.weigh('killer', 300, 400), 10);
    known = 5;
    assert.equal(earlier.weigh('killer', 300, 400), 15);
    assert.equal(earlier.weigh('killer', 250, 400), 10, 'the second was lost while this call ran');
    assert.equal(earlier.weigh('another', 300, 400), 0);
  });

  it('count once for copies that were in one engine, and again for those that came to it after that', () => {
    const earlier = new EarlierLosses();
    for (const sentMs of [0, 50, 99]) earlier.add(KILLER, loss(engines[0]!, sentMs, 100 + sentMs / 100));
    assert.equal(earlier.weigh('killer', 200, 200), 10);
    earlier.add(KILLER, loss(engines[0]!, 150, 180));
    assert.equal(earlier.weigh('killer', 200, 200), 20);
  });

  it('of copies in one engine, that counts which was there longest', () => {
    for (const order of [
      [0, 90, 50],
      [90, 50, 0],
    ]) {
      const earlier = new EarlierLosses();
      for (const sentMs of order)
        earlier.add(
          KILLER,
          loss(engines[0]!, sentMs, 100, () => 4 + sentMs / 10),
        );
      assert.equal(earlier.weigh('killer', 200, 200), 4);
    }
  });

  it('are forgotten after ten minutes, each for itself, and when the request has been answered', () => {
    const earlier = new EarlierLosses();
    earlier.add(KILLER, loss(engines[0]!, 0, 0));
    earlier.add(KILLER, loss(engines[1]!, 5 * MINUTES, 5 * MINUTES));
    assert.equal(earlier.weigh('killer', 9 * MINUTES, 9 * MINUTES), 20);
    assert.equal(earlier.weigh('killer', 12 * MINUTES, 12 * MINUTES), 10);
    assert.equal(earlier.isEmpty(12 * MINUTES), false);
    assert.equal(earlier.isEmpty(15 * MINUTES), true);
    assert.equal(earlier.weigh('killer', 15 * MINUTES, 15 * MINUTES), 0);
    earlier.add(KILLER, loss(engines[0]!, 16 * MINUTES, 16 * MINUTES));
    assert.deepEqual([earlier.mayHave(10), earlier.mayHave(11)], [true, false]);
    earlier.drop('killer');
    assert.deepEqual([earlier.isEmpty(16 * MINUTES), earlier.mayHave(10)], [true, false]);
  });

  it('are bounded: of one request, and of all; the oldest go', () => {
    const earlier = new EarlierLosses();
    for (const [i, engine] of engines.entries()) earlier.add(KILLER, loss(engine, i, i));
    assert.equal(earlier.weigh('killer', 100, 100), 160);
    for (let i = 0; i < 1_024; i++) earlier.add({ fingerprint: `r-${i}`, bytes: 20 }, loss(null, 100, 100));
    assert.deepEqual([earlier.mayHave(10), earlier.mayHave(20)], [false, true]);
    assert.deepEqual([earlier.weigh('r-0', 100, 100), earlier.weigh('r-1023', 100, 100)], [10, 10]);
  });
});
