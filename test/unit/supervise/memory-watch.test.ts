import assert from 'node:assert/strict';
import { MemoryWatch } from '../../../sidecar/supervise/memory-watch.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

const MIB = 2 ** 20;

describe('the watch on the memory of a model process', () => {
  /** Grows by so many MiB a minute. */
  function watched(mibPerMinute: number) {
    const clock = new ManualClock();
    const said: string[] = [];
    let known = true;
    const watch = new MemoryWatch({
      timers: clock,
      residentBytes: () => (known ? 200 * MIB + (clock.now() / 60_000) * mibPerMinute * MIB : -1),
      limitBytes: () => 4_096 * MIB,
      onSuspicion: (suspicion) => void said.push(suspicion?.why ?? ''),
    });
    return { clock, watch, said, lose: () => (known = false) };
  }

  it('says once that it grows without end, and goes on', () => {
    const { clock, watch, said } = watched(20);
    clock.advance(60 * 60_000);
    assert.equal(said.length, 1);
    assert.match(said[0]!, /^its memory grows by 1200 MiB an hour, from 2\d\d MiB to 4\d\d MiB so far$/);
    watch.stop();
    watch.stop();
    assert.deepEqual(said.slice(1), [''], 'the next process is another one');
  });

  it('says nothing of one that does not grow, of one that is not known, and once it is stopped', () => {
    for (const prepare of [
      () => watched(0),
      () => {
        const all = watched(20);
        all.lose();
        return all;
      },
      () => {
        const all = watched(20);
        all.watch.stop();
        return all;
      },
    ]) {
      const { clock, watch, said } = prepare();
      clock.advance(60 * 60_000);
      assert.deepEqual(said, []);
      watch.stop();
      assert.deepEqual(said, []);
    }
  });
});
