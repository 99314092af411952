/** What remains of a report after it was made. */
import assert from 'node:assert/strict';
import { REPORT_MAX_AGE_MS, ReportedLoad } from '../../../../sidecar/core/balancing/reported-load.js';

const said = (calls: number, concurrency = 4, runMs = 200) => ({ calls, concurrency, runMs });

describe('The reported load of an endpoint', () => {
  it('is what others have there, beside what we count ourselves', () => {
    const load = new ReportedLoad();
    assert.ok(load.take(said(7), 2, 1_000));
    assert.equal(load.othersAt(3, 1_000), 5);
    assert.equal(load.utilizationAt(2, 1_000), 7 / 4);
    assert.equal(load.utilizationAt(4, 1_000), 9 / 4, 'our own sends since');
    assert.equal(load.utilizationAt(0, 1_000), 5 / 4, 'and our completions');
  });

  it('fades to the mean within half the time of a run, and counts for 3 s', () => {
    const load = new ReportedLoad();
    load.take(said(10), 0, 0);
    assert.ok(Math.abs(load.othersAt(2, 100) - (2 + 8 / Math.E)) < 1e-9);
    assert.ok(load.counts(REPORT_MAX_AGE_MS - 1));
    assert.ok(!load.counts(REPORT_MAX_AGE_MS));
    assert.equal(load.othersAt(2, REPORT_MAX_AGE_MS), 2);
    assert.equal(load.utilizationAt(1, REPORT_MAX_AGE_MS), undefined);
  });

  it('fades to halfway between its own mean and that of all, where it says that', () => {
    const load = new ReportedLoad();
    load.take({ ...said(10), meanCalls: 8 }, 2, 0);
    assert.equal(load.othersAt(2, 0), 8);
    assert.ok(Math.abs(load.othersAt(2, 2_900) - 4) < 0.01, 'of 6 and 2');
    load.take({ ...said(10), meanCalls: 1 }, 2, 3_000);
    assert.ok(Math.abs(load.othersAt(2, 5_900) - 1) < 0.01, 'of none and 2');
  });

  it('fades over 50 ms to a second, whatever an endpoint says of its runs', () => {
    for (const [runMs, fadeMs] of [
      [0, 50],
      [1, 50],
      [1e9, 1_000],
    ] as const) {
      const load = new ReportedLoad();
      load.take(said(10, 4, runMs), 0, 0);
      assert.ok(Math.abs(load.othersAt(0, fadeMs) - 10 / Math.E) < 1e-9, `${runMs}`);
    }
  });

  it('does not count where it says fewer calls than we have there, but for one on its way', () => {
    const load = new ReportedLoad();
    assert.ok(load.take(said(4), 5, 0));
    assert.equal(load.othersAt(9, 0), 0);
    assert.ok(!load.take(said(0), 2, 10));
    assert.equal(load.othersAt(9, 10), 9, 'nothing is known of others');
    assert.ok(load.take(said(2), 2, 20), 'the next that can be counts again');
    assert.ok(load.counts(20));
  });

  it('does not fade below the calls of others that run for long, and slower the fewer places these leave', () => {
    const load = new ReportedLoad();
    load.take({ ...said(6), longCalls: 3 }, 1, 0);
    assert.ok(
      Math.abs(load.othersAt(0, 200) - 5 * Math.exp(-1 / 2)) < 1e-9,
      'a quarter of the places is left',
    );
    assert.equal(load.othersAt(0, 2_900), 2);
    load.take({ ...said(4), longCalls: 2 }, 2, 3_000);
    assert.ok(load.othersAt(0, 5_000) < 0.01, 'they may be our own');
  });

  it('counts our idle streams as no load where it names them, and no more of them than are missing', () => {
    const load = new ReportedLoad();
    assert.ok(load.take({ ...said(1), idleStreams: 3 }, 4, 0));
    assert.equal(load.activeOf(4, 0), 1);
    assert.equal(load.othersAt(0, 0), 0);
    assert.equal(load.utilizationAt(4, 0), 1 / 4);
    assert.equal(load.utilizationAt(5, 0), 2 / 4, 'what we send since counts');
    assert.equal(load.activeOf(2, 0), 0, 'they have ended');
    assert.equal(load.activeOf(4, REPORT_MAX_AGE_MS), 4, 'nobody knows any more');
    assert.ok(load.take({ ...said(6), idleStreams: 3 }, 4, 10));
    assert.equal(load.activeOf(4, 10), 4, 'they may be those of others');
    assert.equal(load.othersAt(0, 10), 2);
    assert.ok(!load.take({ ...said(1), idleStreams: 1 }, 4, 20), 'two of ours are still missing');
    assert.equal(load.activeOf(4, 20), 4);
  });

  it('has a place free by what it said and by what we have there', () => {
    const load = new ReportedLoad();
    assert.equal(load.hasPlace(0, 0), undefined);
    load.take(said(3), 0, 0);
    assert.equal(load.hasPlace(0, 0), true);
    assert.equal(load.hasPlace(1, 0), false);
    assert.ok(!load.take(said(0), 3, 10));
    assert.equal(load.hasPlace(3, 10), true, 'one of four, should our calls be there');
    assert.equal(load.hasPlace(4, 10), false);
    assert.equal(load.hasPlace(3, 10 + REPORT_MAX_AGE_MS), undefined);
  });

  it('has a mean utilization that begins with its first load, not with the idle time before it', () => {
    const load = new ReportedLoad();
    for (let ms = 0; ms <= 3_000; ms += 1_000) load.take(said(0), 0, ms);
    assert.equal(load.meanUtilizationAt(3_000), 0);
    load.take(said(4), 0, 3_040);
    load.take(said(0), 0, 3_240);
    assert.ok(load.meanUtilizationAt(3_240)! > 0.9, `${load.meanUtilizationAt(3_240)}`);
  });

  it('takes no concurrency below one', () => {
    const load = new ReportedLoad();
    load.take(said(3, 0), 0, 0);
    assert.equal(load.concurrency, 1);
  });
});
