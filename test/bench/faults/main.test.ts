/** The figures of the comparison of faults, and a short run of one row against the subjects that are installed. */
import assert from 'node:assert/strict';
import { spreadsOf } from '../relay/results.js';
import { compare, figuresOf, MEASURES, verdictOf } from './figures.js';
import { benchFaults } from './main.js';
import { dueTimes } from './protocol.js';
import { CAPACITY, ROWS } from './rows.js';
import { renderFaults } from './table.js';

const TIMES = { steadyMs: 1_000, faultMs: 1_000, healedMs: 1_000 };
/** Enough for a figure of each kind. */
const BRIEF = { steadyMs: 300, faultMs: 500, healedMs: 300 };
const call = (startMs: number, tookMs: number, status = 0) => ({ startMs, endMs: startMs + tookMs, status });
const errors = ROWS.find(({ name }) => name === 'errors')!;

describe('the comparison of faults', () => {
  it('is of the same calls at the same times for the same seed', () => {
    const phases = [
      { forMs: 1_000, perSecond: 100 },
      { forMs: 500, perSecond: 1_000 },
    ];
    const due = dueTimes({ phases, seed: 1 });
    assert.deepEqual(dueTimes({ phases, seed: 1 }), due);
    assert.notDeepEqual(dueTimes({ phases, seed: 2 }), due);
    const fast = due.filter((atMs) => atMs > 1_000).length;
    assert.ok(fast > 400 && fast < 600, String(fast));
  });

  it('counts what was sent while the fault lasted, and what failed after it', () => {
    const calls = [
      ...[call(500, 900, 4), call(1_100, 20), call(1_200, 30), call(1_300, 40, 14), call(1_400, 10)],
      ...[call(2_100, 50, 14), call(2_200, 20)],
    ];
    const runs = [
      [1_150, 1_160, 1_170, 1_300],
      [1_100, 1_180, 1_400],
    ];
    const figures = figuresOf(errors, TIMES, { calls, runs });
    assert.deepEqual(figures, {
      ...{ served: 0.75, p99Ms: 30, attempts: 7 / 4, leftAfterMs: 180, wellAfterMs: 150 },
    });
  });

  it('asks for the capacity when more is sent than can be served, and says when a victim is never left alone', () => {
    const often = Array.from({ length: 2_000 }, (_, i) => 1_000 + i / 2);
    const calls = often.map((atMs, i) => call(atMs, 5, i % 8 === 0 ? 0 : 8));
    const { served, leftAfterMs, attempts } = figuresOf(errors, TIMES, { calls, runs: [often] });
    assert.ok(Math.abs(served - 250 / (3 * CAPACITY)) < 0.01, String(served));
    assert.equal(leftAfterMs, Number.POSITIVE_INFINITY);
    assert.equal(attempts, 1);
  });

  it('calls it a tie when one median lies within the spread of the other', () => {
    const of = (min: number, median: number, max: number) => ({ min, median, max });
    assert.equal(compare('served', of(0.9, 0.95, 1), of(0.94, 0.96, 0.97)), 'tie');
    assert.equal(compare('served', of(0.9, 0.91, 0.92), of(0.94, 0.96, 0.97)), 'worse');
    assert.equal(compare('p99Ms', of(10, 20, 30), of(40, 50, 60)), 'better');
    const figures = { served: 1, p99Ms: 20, attempts: 1, leftAfterMs: 100, wellAfterMs: 0 };
    const ours = spreadsOf([figures, figures], MEASURES);
    const never = { ...figures, leftAfterMs: Number.POSITIVE_INFINITY };
    assert.equal(verdictOf(ours, ours), 'tie');
    assert.equal(verdictOf(ours, spreadsOf([never, never], MEASURES)), 'better');
  });

  it('gives figures for every subject that is there', async function () {
    this.timeout(60_000);
    const only = new Set(['pair', 'outrider', 'grpc-js']);
    const report = await benchFaults({ runs: 1, quick: true, isPinned: false, only, times: BRIEF }, () => {});
    const [row, ...more] = report.rows;
    assert.equal(more.length, 0);
    assert.deepEqual(
      row!.subjects.map(({ name, problems }) => ({ name, problems })),
      [
        { name: 'outrider', problems: [] },
        { name: 'grpc-js', problems: [] },
      ],
    );
    assert.match(renderFaults(report), /\| pair +\| outrider +\| \d/);
  });
});
