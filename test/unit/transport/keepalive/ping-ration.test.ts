import assert from 'node:assert/strict';
import { isTooManyPings, PingRation } from '../../../../sidecar/transport/keepalive/ping-ration.js';

describe('PingRation', () => {
  it('two PINGs are sent when they are due, the others 330 s after the one before', () => {
    const ration = new PingRation();
    const at: number[] = [];
    for (let dueMs = 10_000; at.length < 4; dueMs = at.at(-1)! + 10_000) {
      at.push(ration.notBefore(dueMs));
      ration.onPing(at.at(-1)!);
    }
    assert.deepEqual(at, [10_000, 20_000, 350_000, 680_000]);
  });

  it('a sign of life forgives what was sent, and an interval that is longer stays', () => {
    const ration = new PingRation();
    for (let i = 0; i < 5; i++) ration.onPing(1000 * i);
    assert.equal(ration.notBefore(500_000), 500_000);
    assert.equal(ration.notBefore(5_000), 334_000);
    ration.onSign();
    assert.equal(ration.notBefore(5_000), 5_000);
  });

  it('the words of gRPC servers are known', () => {
    for (const words of ['too_many_pings', 'Too many pings']) assert.equal(isTooManyPings(11, words), true);
    assert.equal(isTooManyPings(0, 'too_many_pings'), false);
    assert.equal(isTooManyPings(11, 'max_age'), false);
  });
});
