/** Sticky calls: one key, one endpoint, within bounds. */
import assert from 'node:assert/strict';
import { EndpointLoad, NO_KEY } from '../../../../sidecar/core/balancing/balancer.js';
import { hashText } from '../../../../sidecar/core/balancing/hash.js';
import { ReportedLoad } from '../../../../sidecar/core/balancing/reported-load.js';
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

  it('says whose a key is among those that may take it, whatever their load', () => {
    const pool = endpoints(5);
    const balancer = ring();
    pool[0]!.eligible = false;
    pool[1]!.inFlight = 1_000;
    const mayTake = (endpoint: EndpointLoad): boolean => endpoint !== pool[2];
    const whole = ring();
    for (const key of KEYS.slice(0, 400)) {
      const owner = balancer.ownerOf(pool, key, mayTake)!;
      assert.notEqual(owner, pool[2]);
      const first = whole.pick(endpoints(5), [], 0, key)!.label;
      if (first !== pool[2]!.label) assert.equal(owner.label, first);
    }
    assert.equal(
      balancer.ownerOf(pool, KEYS[0]!, () => false),
      undefined,
    );
    assert.equal(
      balancer.ownerOf(pool, NO_KEY, () => true),
      undefined,
    );
  });

  describe('that spills by reported load', () => {
    const reports = (pool: readonly EndpointLoad[], calls: readonly number[], nowMs = 0): void =>
      calls.forEach((each, i) => {
        pool[i]!.reported ??= new ReportedLoad();
        pool[i]!.reported.take({ calls: each, concurrency: 4, runMs: 100 }, pool[i]!.inFlight, nowMs);
      });
    const home = (pool: readonly EndpointLoad[], key: number): number =>
      pool.indexOf(new RingHash(seeded(1), { ignoresLoad: true }).pick(pool, [], 0, key)!);

    for (const ignoresLoad of [true, false])
      it(`stays at a key's endpoint up to the bound, then goes to the next (ignoresLoad ${ignoresLoad})`, () => {
        const pool = endpoints(4);
        const balancer = new RingHash(seeded(1), { ignoresLoad, spillAbove: 1.5 });
        const [key] = KEYS as [number];
        const at = home(pool, key);
        const busy = (calls: number): number[] => pool.map((_, i) => (i === at ? calls : 0));
        reports(pool, busy(6));
        assert.equal(balancer.pick(pool, [], 0, key), pool[at], 'up to 1.5 times what it runs at once');
        reports(pool, busy(7));
        const next = balancer.pick(pool, [], 0, key)!;
        assert.notEqual(next, pool[at]);
        assert.equal(balancer.pick(pool, [], 0, key), next, 'always the same one');
        reports(pool, busy(2));
        assert.equal(balancer.pick(pool, [], 0, key), pool[at], 'and back');
        pool[at]!.inFlight = 7;
        assert.notEqual(balancer.pick(pool, [], 0, key), pool[at], 'our own sends since the report count');
      });

    it('stays at home where all are above the bound', () => {
      const pool = endpoints(3);
      reports(pool, [40, 41, 42]);
      const balancer = new RingHash(seeded(1), { ignoresLoad: false, spillAbove: 1 });
      for (const key of KEYS.slice(0, 50))
        assert.equal(pool.indexOf(balancer.pick(pool, [], 0, key)!), home(pool, key));
    });

    it('goes by its own calls in flight where no report counts', () => {
      const pool = endpoints(3);
      const balancer = new RingHash(seeded(1), { ignoresLoad: false, spillAbove: 1 });
      const [key] = KEYS as [number];
      const at = home(pool, key);
      reports(pool, [40, 40, 40]);
      pool[at]!.inFlight = 9;
      assert.notEqual(balancer.pick(pool, [], 3_000, key), pool[at]);
      pool[at]!.inFlight = 0;
      assert.equal(balancer.pick(pool, [], 3_000, key), pool[at]);
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
