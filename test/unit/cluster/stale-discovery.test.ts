/** Connections that contradict discovery. */
import assert from 'node:assert/strict';
import { StaleDiscovery } from '../../../sidecar/cluster/stale-discovery.js';

const dead = (failures: number) => ({ isConnected: false, failures });
const ALIVE = { isConnected: true, failures: 0 };

describe('Stale discovery', () => {
  let doubt: StaleDiscovery;
  let heard: string[];
  beforeEach(() => {
    doubt = new StaleDiscovery();
    heard = [];
    doubt.listener = (why) => void heard.push(why);
  });
  const fail = (failed: { isConnected: boolean; failures: number }, all: (typeof failed)[], nowMs: number) =>
    doubt.onFailure(failed, all, `at ${nowMs}`, nowMs);

  it('discovery is reported as stale at once when none of its endpoints can be reached', () => {
    const [one, other] = [dead(1), dead(1)];
    fail(one, [one, other], 0);
    assert.deepEqual(heard, ['at 0']);
  });

  it('discovery is not stale while an endpoint has not been tried yet', () => {
    const one = dead(1);
    fail(one, [one, dead(0)], 0);
    assert.deepEqual(heard, []);
  });

  it('discovery is stale at the third failed connect to one endpoint, although others answer', () => {
    fail(dead(1), [dead(1), ALIVE], 0);
    fail(dead(2), [dead(2), ALIVE], 100);
    assert.deepEqual(heard, []);
    fail(dead(3), [dead(3), ALIVE], 200);
    assert.deepEqual(heard, ['at 200']);
  });

  it('reports of stale discovery grow rarer, and start afresh when discovery says something new', () => {
    const one = dead(9);
    for (let ms = 0; ms < 3_600_000; ms += 1000) fail(one, [one], ms);
    assert.ok(heard.length > 8 && heard.length < 24, `${heard.length} times in an hour`);
    doubt.reset();
    fail(one, [one], 3_600_000);
    assert.equal(heard.at(-1), 'at 3600000');
  });

  it('stale discovery is not reported without a listener', () => {
    doubt.listener = undefined;
    const one = dead(5);
    fail(one, [one], 0);
    doubt.listener = (why) => void heard.push(why);
    fail(one, [one], 1);
    assert.deepEqual(heard, ['at 1']);
  });
});
