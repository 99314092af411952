import assert from 'node:assert/strict';
import { HalfHour, SLOT_MS, SLOTS } from '../../../../sidecar/core/history/half-hour.js';

const calls = (count: number) => ({ calls: count, failed: 1, times: [count - 1, 1] });

describe('the last half hour', () => {
  it('has what was written in each slot, and nothing where nobody wrote', () => {
    const history = new HalfHour();
    history.begin(3, SLOT_MS);
    history.setCalls(3, 'outbound a', calls(7));
    history.setState(3, 'self', 2);
    history.setGauge(3, 'waiting', 4);
    history.begin(5, 2 * SLOT_MS);
    assert.deepEqual(
      [3, 4, 5].map((slot) => history.spanOf(slot)),
      [SLOT_MS, 0, 2 * SLOT_MS],
    );
    const { calls: count, failed, times } = history.callsOf(3, 'outbound a')!;
    assert.deepEqual([count, failed, ...Array.from(times)], [7, 1, 6, 1]);
    assert.equal(history.callsOf(4, 'outbound a'), undefined);
    assert.equal(history.callsOf(5, 'outbound a')!.calls, 0);
    assert.deepEqual(
      [3, 5].map((slot) => history.stateOf(slot, 'self')),
      [2, 0],
    );
    assert.deepEqual(
      [3, 4].map((slot) => history.gaugeOf(slot, 'waiting')),
      [4, undefined],
    );
  });

  it('forgets what is older, also after a gap longer than all slots', () => {
    const history = new HalfHour();
    history.begin(0, SLOT_MS);
    history.setCalls(0, 'outbound a', calls(7));
    history.setState(0, 'self', 1);
    history.addEvent({ slot: 0, kind: 'restart', service: 'a', text: 'was' });
    history.begin(SLOTS - 1, SLOT_MS);
    assert.equal(history.callsOf(0, 'outbound a')!.calls, 7);
    history.begin(SLOTS, SLOT_MS);
    assert.deepEqual([history.first, history.spanOf(0), history.kinds, history.thingNames], [1, 0, [], []]);
    assert.deepEqual(history.events, []);
    history.begin(100 * SLOTS, SLOT_MS);
    assert.equal(history.spanOf(SLOTS), 0);
    assert.equal(history.spanOf(100 * SLOTS), SLOT_MS);
  });

  it('takes a bounded memory, and has room again for what comes when what was there is gone', () => {
    const history = new HalfHour();
    history.begin(0, SLOT_MS);
    for (let i = 0; i < 1_000; i++) {
      history.setCalls(0, `outbound ${i}`, calls(1));
      history.setState(0, `${i}`, 1);
      history.addEvent({ slot: 0, kind: 'ejection', service: 'a', text: `${i}` });
    }
    assert.deepEqual(
      [history.kinds.length, history.thingNames.length, history.events.length],
      [64, 512, 200],
    );
    assert.equal(history.events.at(-1)!.text, '999');
    history.begin(SLOTS, SLOT_MS);
    history.setCalls(SLOTS, 'outbound new', calls(1));
    assert.deepEqual(history.kinds, ['outbound new']);
  });
});
