import assert from 'node:assert/strict';
import { HistorySampler } from '../../../../sidecar/admin/history/history-sampler.js';
import { SLOT_MS, SLOTS } from '../../../../sidecar/core/history/half-hour.js';
import { anEndpoint, FakeView } from '../../../kit/stack/admin-view.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const totals = (calls: number, failed = 0) => [
  { kind: 'outbound digits', calls, failed, times: [0, calls, 0] },
];

describe('the history of a sidecar', () => {
  let clock: ManualClock;
  let view: FakeView;
  let sampler: HistorySampler;

  beforeEach(() => {
    clock = new ManualClock();
    view = new FakeView();
    sampler = new HistorySampler(view, clock, clock);
    sampler.start();
  });
  afterEach(() => sampler.stop());

  it('has the calls, times, queue and states of each slot', () => {
    view.totals = totals(50, 2);
    view.queueReport = { running: 1, waiting: 3, waitingBytes: 4, concurrency: 2 };
    view.rows = [anEndpoint({ state: 'ejected', ejections: 1 })];
    clock.advance(SLOT_MS);
    view.totals = totals(60, 2);
    view.rows = [anEndpoint({ ejections: 1 })];
    view.reasons = ['draining'];
    clock.advance(SLOT_MS + 100);
    const { calls, queue, self, endpoints, spansMs, ageMs, first, events } = sampler.report();
    assert.deepEqual(calls, [
      {
        direction: 'outbound',
        service: 'digits',
        calls: [0, 50, 10],
        failed: [0, 2, 0],
        times: [[], [0, 50], [0, 10]],
      },
    ]);
    assert.deepEqual(queue, { running: [0, 1, 1], waiting: [0, 3, 3], concurrency: [0, 2, 2] });
    assert.equal(self, 'rrd');
    assert.deepEqual(endpoints, [{ upstream: 'digits', endpoint: 'digits-1', states: '-er' }]);
    assert.deepEqual([spansMs, first, ageMs], [[SLOT_MS, SLOT_MS, SLOT_MS], 0, 100]);
    assert.deepEqual(
      events.map(({ slot, kind, text }) => [slot, kind, text]),
      [[2, 'drain', 'digits-1 drains']],
    );
  });

  it('sees what was over before it looked: an ejection and a restart', () => {
    view.modelReport = { state: 'ready', why: '', restarts: 0 };
    view.rows = [anEndpoint({})];
    clock.advance(SLOT_MS);
    view.modelReport = { state: 'ready', why: '', restarts: 1 };
    view.rows = [anEndpoint({ ejections: 1 })];
    clock.advance(SLOT_MS);
    const { self, endpoints, events } = sampler.report();
    assert.deepEqual([self, endpoints[0]!.states], ['rrx', '-re']);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['ejection', 'restart'],
    );
    clock.advance(SLOT_MS);
    assert.equal(sampler.report().self, 'rrxr');
  });

  it('gives only what is newer than the asker has, and starts over where it has more than there is', () => {
    clock.advance(3 * SLOT_MS);
    const { first, self } = sampler.report(1);
    assert.deepEqual([first, self], [2, 'rr']);
    assert.equal(sampler.report(3).self, '');
    assert.equal(sampler.report(9_999).self, '');
  });

  it('keeps half an hour, reads nothing between its slots, and ends', () => {
    let reads = 0;
    view.callTotals = () => {
      reads++;
      return totals(0);
    };
    clock.advance((SLOTS + 10) * SLOT_MS);
    assert.equal(reads, SLOTS + 10);
    assert.equal(sampler.report().self.length, SLOTS);
    sampler.stop();
    clock.advance(10 * SLOT_MS);
    assert.equal(reads, SLOTS + 10);
  });

  it('has a gap where the process stood still, and rates over the time that a reading covers', () => {
    clock.advance(SLOT_MS);
    view.totals = totals(30);
    clock.stall(3 * SLOT_MS);
    clock.advance(SLOT_MS);
    const { spansMs, calls, self } = sampler.report();
    assert.deepEqual(spansMs, [SLOT_MS, SLOT_MS, 0, 0, 3 * SLOT_MS, SLOT_MS]);
    assert.deepEqual(calls[0]!.calls, [0, 0, 0, 0, 30, 0]);
    assert.equal(self, 'rr--rr');
  });
});
