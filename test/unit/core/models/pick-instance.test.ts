/** Which instance of a model gets the next call. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type InstanceLoad, pickInstance } from '../../../../sidecar/core/models/pick-instance.js';

const instance = (inFlight: number, over: Partial<InstanceLoad> = {}): InstanceLoad => ({
  isReady: true,
  isConnected: true,
  inFlight,
  ...over,
});

describe('the choice of an instance', () => {
  it('is the ready one with the fewest calls', () => {
    const all = [instance(3), instance(0, { isReady: false }), instance(1), instance(2)];
    assert.equal(pickInstance(all, 0), all[2]);
  });

  it('is none while none is ready', () => {
    assert.equal(pickInstance([instance(0, { isReady: false })], 5), null);
    assert.equal(pickInstance([], 0), null);
  });

  it('is one with a connection before one that is idle because its process has just ended', () => {
    const all = [instance(0, { isConnected: false }), instance(7)];
    assert.equal(pickInstance(all, 0), all[1]);
    assert.equal(pickInstance([all[0]!], 0), all[0], 'rather than none');
  });

  it('takes turns among equals', () => {
    const all = [instance(0), instance(0), instance(0)];
    assert.deepEqual(
      [0, 1, 2, 3].map((start) => all.indexOf(pickInstance(all, start)!)),
      [0, 1, 2, 0],
    );
  });

  it('never has more calls than another ready and connected one', () => {
    const one = fc.record({ isReady: fc.boolean(), isConnected: fc.boolean(), inFlight: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), fc.nat(20), (all, start) => {
        const picked = pickInstance(all, start);
        const usable = all.filter(({ isReady, isConnected }) => isReady && isConnected);
        if (picked === null) return all.every(({ isReady }) => !isReady);
        if (usable.length > 0) return picked.inFlight === Math.min(...usable.map((each) => each.inFlight));
        return picked.isReady;
      }),
    );
  });
});
