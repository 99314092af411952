/** Counts of processes that are started again. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addCounts, StatisticsTotal } from '../../../../sidecar/core/models/statistics-total.js';

describe('the total of statistics', () => {
  const counts = (runs: number) => new Map([['runs', runs]]);
  const runs = (total: StatisticsTotal) => total.counts.get('runs') ?? 0;

  it('is what the process has counted', () => {
    const total = new StatisticsTotal();
    total.take('1', counts(3));
    total.take('1', counts(7));
    assert.equal(runs(total), 7);
  });

  it('goes on when the process is started again', () => {
    const total = new StatisticsTotal();
    total.take('1', counts(7));
    total.take('2', counts(2));
    assert.equal(runs(total), 9);
    total.take('2', counts(5));
    assert.equal(runs(total), 12);
    total.take('3', counts(20));
    assert.equal(runs(total), 32, 'it may have counted more than the one before');
  });

  it('takes counts that went back for those of another process', () => {
    const total = new StatisticsTotal();
    total.take('1', counts(7));
    total.take('1', counts(1));
    assert.equal(runs(total), 8);
  });

  it('adds what only one of two has', () => {
    const sum = addCounts(new Map([['a', 1]]), new Map([['b', 2]]));
    assert.deepEqual(
      [...sum],
      [
        ['a', 1],
        ['b', 2],
      ],
    );
  });

  it('never goes back', () => {
    const reading = fc.tuple(fc.constantFrom('1', '2', '3'), fc.nat(20));
    fc.assert(
      fc.property(fc.array(reading), (all) => {
        const total = new StatisticsTotal();
        let before = 0;
        return all.every(([process, n]) => {
          total.take(process, counts(n));
          const isMore = runs(total) >= before;
          before = runs(total);
          return isMore;
        });
      }),
    );
  });
});
