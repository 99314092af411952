import assert from 'node:assert/strict';
import { HistorySampler } from '../../../../sidecar/admin/history/history-sampler.js';
import { SELF } from '../../../../sidecar/admin/history/history-writer.js';
import { pageSlot, SidecarHistory } from '../../../../sidecar/cli/page/sidecar-history.js';
import { SLOT_MS } from '../../../../sidecar/core/history/half-hour.js';
import { stateCode } from '../../../../sidecar/core/history/replica-state.js';
import { LATENCY_BOUNDS_MS } from '../../../../sidecar/telemetry/call-stats.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { aStatusReport, FakeView } from '../../../kit/stack/admin-view.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const totals = (calls: number) => [
  { kind: 'outbound digits', calls, failed: 0, times: [calls, ...Array(LATENCY_BOUNDS_MS.length).fill(0)] },
];

describe('the history of a sidecar at the page', () => {
  let clock: ManualClock;
  let view: FakeView;
  let sampler: HistorySampler;
  let known: SidecarHistory;
  const start = () => {
    const started = new HistorySampler(view, clock, clock);
    started.start();
    afterTest(() => started.stop());
    sampler = started;
  };
  const seen = () => aStatusReport({ service: 'digits', notReady: view.reasons });
  const look = () => {
    const report = JSON.parse(JSON.stringify(sampler.report(known.since)));
    known.takeReport('digits-1', report, seen(), clock.wallNow());
  };
  /** Calls of each slot that is known, the oldest first. */
  const calls = () => {
    const { history } = known;
    const slots = Array.from({ length: 400 }, (_, i) => history.last - 399 + i);
    return slots
      .filter((slot) => history.spanOf(slot) > 0)
      .map((slot) => history.callsOf(slot, 'outbound digits')?.calls ?? 0);
  };

  beforeEach(() => {
    clock = new ManualClock();
    view = new FakeView();
    known = new SidecarHistory();
    start();
  });

  it('is what the sidecar kept before the page was opened, at its place in time, and goes on', () => {
    for (const count of [10, 30, 60]) {
      view.totals = totals(count);
      clock.advance(SLOT_MS);
    }
    look();
    assert.deepEqual(calls(), [0, 10, 20, 30]);
    assert.ok(Math.abs(known.history.last - pageSlot(clock.wallNow())) <= 1);
    view.totals = totals(100);
    clock.advance(SLOT_MS);
    look();
    look();
    assert.deepEqual(calls(), [0, 10, 20, 30, 40]);
    assert.equal(known.isKept, true);
  });

  it('outlives the process of the sidecar, and goes on with the next one', () => {
    view.totals = totals(10);
    clock.advance(SLOT_MS);
    look();
    sampler.stop();
    known.missed('d-1', 'digits', clock.wallNow() + SLOT_MS);
    known.missed('d-1', 'digits', clock.wallNow() + 2 * SLOT_MS);
    clock.advance(4 * SLOT_MS);
    view.totals = totals(0);
    start();
    view.totals = totals(7);
    clock.advance(SLOT_MS);
    look();
    look();
    assert.deepEqual(
      calls().filter((count) => count > 0),
      [10, 7],
    );
    const { history } = known;
    const down = Array.from({ length: 8 }, (_, i) => history.stateOf(history.last - 7 + i, SELF));
    assert.equal(down.filter((code) => code === stateCode('down')).length, 2);
    assert.deepEqual(
      history.events.map(({ kind, text }) => [kind, text]),
      [['gone', 'd-1 does not answer']],
    );
  });

  it('has each event once, however often it is told', () => {
    clock.advance(SLOT_MS);
    view.reasons = ['draining'];
    clock.advance(SLOT_MS);
    look();
    known.takeReport('digits-1', sampler.report(), seen(), clock.wallNow());
    look();
    assert.deepEqual(
      known.history.events.map(({ text }) => text),
      ['digits-1 drains'],
    );
  });

  it('has at once what happens while the page is open, and not again when the sidecar writes it', () => {
    clock.advance(SLOT_MS);
    look();
    view.reasons = ['draining'];
    look();
    const drains = () => known.history.events.filter(({ kind }) => kind === 'drain').length;
    assert.equal(drains(), 1);
    clock.advance(3 * SLOT_MS);
    look();
    assert.equal(drains(), 1);
  });

  it('begins with the page where the sidecar keeps nothing', () => {
    const report = aStatusReport();
    for (let i = 0; i < 4; i++) known.takeReading('web-1', report, totals(10 * i), i * SLOT_MS);
    known.takeReading('web-1', report, totals(1_000), 3 * SLOT_MS + 2_000);
    assert.deepEqual([calls(), known.isKept], [[0, 10, 10, 10], false]);
  });

  it('leaves out times that were counted in other buckets', () => {
    view.totals = totals(10);
    clock.advance(SLOT_MS);
    known.takeReport('digits-1', { ...sampler.report(), boundsMs: [1, 2] }, seen(), clock.wallNow());
    const { calls: count, times } = known.history.callsOf(known.history.last, 'outbound digits')!;
    assert.deepEqual([count, Array.from(times).some((each) => each > 0)], [10, false]);
  });
});
