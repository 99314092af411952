/** Sticky calls: one key, one endpoint, within bounds. */
import assert from 'node:assert/strict';
import { EndpointLoad, NO_KEY } from '../../../../sidecar/core/balancing/balancer.js';
import { hashText } from '../../../../sidecar/core/balancing/hash.js';
import { RingHash } from '../../../../sidecar/core/balancing/ring-hash.js';
import { seeded } from '../../../kit/time/seeded-random.js';

function endpoints(count: number): EndpointLoad[] {
  const labels = Array.from({ length: count }, (_, i) => `10.0.0.${i}:8443`);
  return labels.map((label) => Object.assign(new EndpointLoad(), { label }));
}

const KEYS = Array.from({ length: 4000 }, (_, i) => hashText(`session-${i}`));

describe('RingHash', () => {
  const ring = () => new RingHash(seeded(1));

  it('sends one key to one endpoint, the same in every process', () => {
    const [one, other] = [ring(), ring()];
    const [pool, twins] = [endpoints(5), endpoints(5)];
    for (const key of KEYS.slice(0, 200)) {
      const picked = one.pick(pool, [], 0, key)!;
      assert.equal(one.pick(pool, [], 1, key), picked);
      assert.equal(other.pick(twins, [], 0, key)!.label, picked.label);
    }
  });

  it('gives each endpoint about its share by weight, and none to one without', () => {
    const pool = endpoints(5);
    pool[0]!.weight = 2;
    pool[4]!.weight = 0;
    const balancer = ring();
    const picked = KEYS.map((key) => balancer.pick(pool, [], 0, key));
    assert.ok(!picked.includes(pool[4]));
    for (const endpoint of pool.slice(0, 4)) {
      const share = picked.filter((each) => each === endpoint).length / KEYS.length;
      assert.ok(Math.abs(share - endpoint.weight / 5) < 0.3 * (endpoint.weight / 5), `${share}`);
    }
  });

  it('moves only the keys of an endpoint that leaves, or cannot take calls', () => {
    const pool = endpoints(10);
    const balancer = ring();
    const before = KEYS.map((key) => balancer.pick(pool, [], 0, key)!);
    pool[3]!.eligible = false;
    KEYS.forEach((key, i) => {
      const now = balancer.pick(pool, [], 0, key)!;
      if (before[i] === pool[3]) assert.notEqual(now, pool[3]);
      else assert.equal(now, before[i]);
    });
    pool[3]!.eligible = true;
    const rest = pool.filter((_, i) => i !== 3);
    KEYS.forEach((key, i) => {
      if (before[i] !== pool[3]) assert.equal(balancer.pick(rest, [], 0, key), before[i]);
    });
  });

  it('keeps a key where its state is, whatever the load and weight there, if it is to ignore them', () => {
    const pool = endpoints(3);
    const balancer = new RingHash(seeded(1), { ignoresLoad: true });
    const before = KEYS.map((key) => balancer.pick(pool, [], 0, key)!);
    pool[0]!.inFlight = 1_000;
    pool[1]!.weightFactor = 0.01;
    for (const [i, key] of KEYS.entries()) assert.equal(balancer.pick(pool, [], 0, key), before[i]);
    pool[0]!.eligible = false;
    KEYS.forEach((key, i) => {
      const now = balancer.pick(pool, [], 0, key);
      if (before[i] !== pool[0]) assert.equal(now, before[i]);
      else assert.notEqual(now, before[i]);
    });
  });

  it('passes a popular key on when its endpoint has a quarter more than its share', () => {
    const [pool, balancer] = [endpoints(4), ring()];
    const key = hashText('popular');
    for (let i = 0; i < 400; i++) balancer.pick(pool, [], 0, key)!.inFlight++;
    for (const { inFlight } of pool)
      assert.ok(inFlight <= 126, `${inFlight} of 400 in flight at one of four`);
  });

  it('does not return to one that was tried while there is another', () => {
    const [pool, balancer] = [endpoints(3), ring()];
    const first = balancer.pick(pool, [], 0, KEYS[0]!)!;
    const second = balancer.pick(pool, [first], 0, KEYS[0]!)!;
    assert.notEqual(second, first);
    const third = balancer.pick(pool, [first, second], 0, KEYS[0]!)!;
    assert.ok(third !== first && third !== second);
    assert.ok(balancer.pick(pool, pool, 0, KEYS[0]!), 'when all were tried, any is better than none');
  });

  it('balances calls without a key, and returns none when no endpoint is eligible', () => {
    const [pool, balancer] = [endpoints(3), ring()];
    const used = new Set(Array.from({ length: 50 }, () => balancer.pick(pool, [], 0, NO_KEY)));
    assert.equal(used.size, 3);
    assert.equal(balancer.pick([], [], 0, KEYS[0]!), undefined);
    for (const endpoint of pool) endpoint.eligible = false;
    assert.equal(balancer.pick(pool, [], 0, KEYS[0]!), undefined);
  });
});
