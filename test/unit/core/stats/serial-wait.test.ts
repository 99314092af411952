import assert from 'node:assert/strict';
import { SerialWait } from '../../../../sidecar/core/stats/serial-wait.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/** Calls at random times at a process with so many places; each takes as long as `runMs` says. Returned is what was found of the last `n`. */
function observe(places: number, perSecond: number, runMs: () => number, n = 100) {
  const random = seeded(3);
  const free = new Array<number>(places).fill(0);
  const calls: { start: number; end: number; run: number }[] = [];
  for (let i = 0, at = 0; i < 600; i += 1) {
    at += (-Math.log(1 - random()) * 1_000) / perSecond;
    const place = free.indexOf(Math.min(...free));
    const run = runMs();
    const end = Math.max(at, free[place]!) + run;
    free[place] = end;
    calls.push({ start: at, end, run });
  }
  const wait = new SerialWait();
  const found = calls
    .sort((a, b) => a.end - b.end)
    .map(({ start, end, run }) => {
      wait.record(start, end);
      return { took: end - start, run, least: wait.leastMs, most: wait.mostMs };
    });
  return found.slice(-n);
}
const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

describe('The wait of calls for each other', () => {
  it('is all but the run where calls are run one at a time', () => {
    const found = observe(1, 20, () => 40);
    assert.ok(sum(found.map(({ took }) => took)) > 1.5 * sum(found.map(({ run }) => run)), 'they wait');
    for (const { took, run, least, most } of found) {
      assert.ok(Math.abs(took - least - run) < 0.1 * took, `${took} - ${least}, not ${run}`);
      assert.ok(Math.abs(took - most - run) < 1e-6, `${took} - ${most}, not ${run}`);
    }
  });

  it('is nothing where calls are run beside each other, however slow', () => {
    for (const ms of [40, 400])
      for (const { least, most } of observe(1_000, 20, () => ms))
        assert.ok(least <= most && most < 1e-6, `${most}`);
  });

  it('is nothing where later calls overtake earlier ones', () => {
    const random = seeded(5);
    for (const { most } of observe(1_000, 20, () => 2_000 ** random())) assert.equal(most, 0);
  });

  it('is at most that for the call before, and at least nothing, as long as nothing is known', () => {
    const wait = new SerialWait();
    wait.record(0, 100);
    wait.record(20, 140);
    assert.deepEqual([wait.leastMs, wait.mostMs], [0, 80]);
  });

  it('that stands behind one very long call is taken out with it', () => {
    const wait = new SerialWait();
    for (let at = 0; at < 4_800; at += 100) {
      wait.record(at, at + 40);
      if (at % 200 === 0) wait.record(at + 10, at + 80);
    }
    wait.record(5_000, 8_000);
    wait.record(5_010, 8_040);
    assert.ok(8_040 - 5_010 - wait.mostMs < 60, `${wait.mostMs}`);
  });

  it('counts calls of other kinds as what may have been waited for', () => {
    const wait = new SerialWait();
    wait.end(0, 500);
    wait.record(100, 540);
    assert.equal(wait.mostMs, 400);
  });
});
