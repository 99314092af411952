import assert from 'node:assert/strict';
import { shownSlots } from '../../../../sidecar/admin/look/shown-slots.js';
import { HalfHour, SLOTS } from '../../../../sidecar/core/history/half-hour.js';

const since = (slot: number) => {
  const history = new HalfHour();
  history.begin(slot, 5_000);
  return history;
};

describe('the time that charts show', () => {
  it('is as long as the oldest history, in steps, and half an hour at most', () => {
    assert.equal(shownSlots([], 1_000), 60);
    assert.equal(shownSlots([since(995), new HalfHour()], 1_000), 60);
    assert.equal(shownSlots([since(995), since(930)], 1_000), 120);
    assert.equal(shownSlots([since(800)], 1_000), 240);
    assert.equal(shownSlots([since(10)], 1_000), SLOTS);
  });
});
