import assert from 'node:assert/strict';
import { CallKind, type EndpointLoad } from '../../../../sidecar/core/balancing/balancer.js';
import { LeastLoaded } from '../../../../sidecar/core/balancing/least-loaded.js';
import { ReportedLoad } from '../../../../sidecar/core/balancing/reported-load.js';
import { about, endpoint, shares } from '../../../kit/core/endpoints.js';
import { seeded, sequence } from '../../../kit/time/seeded-random.js';

describe('LeastLoaded', () => {
  it('prefers the less loaded of two equals', () => {
    const [idle, busy] = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10, inFlight: 1 })];
    assert.deepEqual(shares(new LeastLoaded(seeded(1)), [idle, busy], 200), [1, 0]);
  });

  it('compares two different endpoints, each as often as any other', () => {
    for (const position of [0, 1, 2]) {
      const pool = [0, 1, 2].map((i) => endpoint({ latencyMs: 10, inFlight: i === position ? 0 : 5 }));
      about(shares(new LeastLoaded(seeded(4)), pool, 20_000)[position]!, 2 / 3, 0.02);
    }
  });

  it('draws every pair as often as any other, with some out of the pool too', () => {
    for (const out of [[], [4], [0, 3, 7, 9, 10, 11]]) {
      const places = Array.from({ length: 12 }, (_, i) => i);
      const pool = places.map((i) => endpoint({ latencyMs: 2 ** i, eligible: !out.includes(i) }));
      const inOrder = places.filter((i) => !out.includes(i));
      const [n, picks] = [inOrder.length, 60_000];
      const found = shares(new LeastLoaded(seeded(17)), pool, picks);
      // The better of two: the k-th best wins against the n − 1 − k behind it.
      const chiSquare = inOrder.reduce((sum, i, k) => {
        const expected = (2 * (n - 1 - k)) / (n * (n - 1));
        return expected === 0 ? sum : sum + (picks * (found[i]! - expected) ** 2) / expected;
      }, 0);
      assert.equal(found[inOrder[n - 1]!], 0, 'an endpoint is not compared with itself');
      assert.ok(chiSquare < 31, `${chiSquare} of ${n - 2} degrees of freedom`);
    }
  });

  it('draws from any first state, and asks for chance only once', () => {
    for (const first of [0, 0.25, 1 - 2 ** -53]) {
      const pool = [endpoint(), endpoint(), endpoint(), endpoint()];
      for (const share of shares(new LeastLoaded(sequence(first)), pool, 10_000)) about(share, 0.25);
    }
  });

  it('prefers the faster of two idle ones, and leaves near equals to chance', () => {
    const of = (latencyMs: number): number =>
      shares(new LeastLoaded(seeded(1)), [endpoint({ latencyMs: 10 }), endpoint({ latencyMs })], 2_000)[0]!;
    assert.equal(of(20), 1);
    about(of(11), 0.5, 0.05);
  });

  it('compares latency × (in flight + 1)', () => {
    const balancer = new LeastLoaded(seeded(1));
    const [fast, slow] = [endpoint({ latencyMs: 10, inFlight: 5 }), endpoint({ latencyMs: 40 })];
    balancer.pick([fast, slow], [], 0);
    assert.deepEqual([balancer.cost(fast, 0), balancer.cost(slow, 0)], [60, 40]);
  });

  it('keeps the load in proportion to weight under load', () => {
    const pool = [endpoint({ weight: 1, latencyMs: 10 }), endpoint({ weight: 3, latencyMs: 10 })];
    const balancer = new LeastLoaded(seeded(5));
    for (let i = 0; i < 400; i += 1) balancer.pick(pool, [], 0)!.inFlight += 1;
    about(pool[1]!.inFlight / 400, 0.75, 0.05);
  });

  it('neither floods nor starves a new endpoint among peers', () => {
    const pool = [endpoint({ latencyMs: 40 }), endpoint({ latencyMs: 50 }), endpoint()];
    const balancer = new LeastLoaded(seeded(3));
    for (let i = 0; i < 90; i += 1) balancer.pick(pool, [], 0)!.inFlight += 1;
    const fresh = pool[2]!.inFlight;
    assert.ok(fresh >= 20 && fresh <= 40, `${fresh} of 90`);
  });

  it('does not let one slow peer make a new endpoint look fast or slow', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 5_000 }), endpoint()];
    const balancer = new LeastLoaded(seeded(3));
    balancer.pick(pool, [], 0);
    assert.ok(balancer.neutralMs > 10 && balancer.neutralMs < 30, `${balancer.neutralMs}`);
  });

  it('gives an endpoint that fails fast less traffic, not more', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10 })];
    const balancer = new LeastLoaded(seeded(3));
    balancer.pick(pool, [], 0);
    pool[0]!.latency.recordFault(0.2, balancer.neutralMs, 0);
    assert.deepEqual(shares(balancer, pool, 100), [0, 1]);
  });

  it('gives a new endpoint whose first call fails fast less traffic than its peers', () => {
    const pool = [endpoint({ latencyMs: 20 }), endpoint()];
    const balancer = new LeastLoaded(seeded(3));
    assert.equal(pool[1]!.usualMs, 0);
    balancer.pick(pool, [], 0);
    assert.equal(pool[1]!.usualMs, 20);
    pool[1]!.latency.recordFault(0.2, pool[1]!.usualMs, 0);
    assert.deepEqual(shares(balancer, pool, 100), [1, 0]);
  });

  it('comes back to an endpoint it has shunned, in time', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 5_000 })];
    const balancer = new LeastLoaded(seeded(3));
    let firstMs = 0;
    for (let nowMs = 0; nowMs < 300_000 && firstMs === 0; nowMs += 100) {
      const picked = balancer.pick(pool, [], nowMs)!;
      if (picked === pool[1]) firstMs = nowMs;
      else picked.latency.record(10, nowMs);
    }
    assert.ok(firstMs >= 10_000 && firstMs < 120_000, `after ${firstMs} ms`);
  });

  it('sends most calls to the fast ones when one of three is slow', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 100 })];
    const [, , slow] = shares(new LeastLoaded(seeded(9)), pool, 5_000);
    assert.equal(slow, 0);
  });

  describe('where endpoints report their load', () => {
    const reporting = (
      calls: number,
      over: { concurrency?: number; latencyMs?: number; inFlight?: number } = {},
    ) => {
      const { concurrency = 4, latencyMs = 10, inFlight = 0 } = over;
      const made = endpoint({ latencyMs, inFlight });
      made.reported = new ReportedLoad();
      made.reported.take({ calls, concurrency, runMs: 100 }, inFlight, 0);
      return made;
    };
    const sharesOf = (pool: ReturnType<typeof endpoint>[], picks = 2_000) =>
      shares(new LeastLoaded(seeded(3)), pool, picks);

    it('the least loaded of all gets the call, the calls of others counting as our own', () => {
      assert.deepEqual(sharesOf([reporting(3), reporting(1), reporting(2), reporting(9)]), [0, 1, 0, 0]);
      assert.deepEqual(sharesOf([reporting(3, { inFlight: 3 }), reporting(1), reporting(2)]), [0, 1, 0]);
    });

    it('a call that runs for long takes one place, and where there is no other all', () => {
      const withLong = (calls: number, concurrency: number) => {
        const made = reporting(calls, { concurrency });
        made.reported!.take({ calls, concurrency, longCalls: 1, runMs: 100 }, 0, 0);
        return made;
      };
      about(sharesOf([withLong(1, 4), reporting(0)], 30_000)[0]!, 1 / 2);
      assert.deepEqual(sharesOf([withLong(2, 2), reporting(1, { concurrency: 2 })]), [0, 1]);
      assert.deepEqual(sharesOf([withLong(1, 1), reporting(20, { concurrency: 1 })]), [0, 1]);
    });

    it('calls that run for long count as any others do while the endpoint answers nothing', () => {
      const stuck = reporting(6, { concurrency: 256, inFlight: 6 });
      stuck.unansweredInRow = 6;
      stuck.reported!.take({ calls: 6, concurrency: 256, longCalls: 6, runMs: 10 }, 6, 0);
      const pool = [stuck, ...[1, 2].map((calls) => reporting(calls, { concurrency: 256 }))];
      for (const { latency } of pool) latency.record(10, 1);
      const balancer = new LeastLoaded(seeded(3));
      const picksFrom = (fromMs: number): number => {
        let picked = 0;
        for (let i = 0; i < 1_000; i++) if (balancer.pick(pool, [], fromMs + i) === stuck) picked += 1;
        return picked;
      };
      assert.equal(picksFrom(200), 0);
      stuck.unansweredInRow = 2;
      assert.ok(picksFrom(1_200) > 0, 'two calls may both take long');
      stuck.unansweredInRow = 6;
      stuck.latency.record(10, 2_300);
      let picked = 0;
      for (let i = 0; i < 90; i++) if (balancer.pick(pool, [], 2_300 + i) === stuck) picked += 1;
      assert.ok(picked > 0, 'a call has got through beside them');
    });

    it('no endpoint with a place free stays without calls for long, and a slow one only for longer', () => {
      const random = new LeastLoaded(seeded(3));
      const pool = [reporting(0), reporting(0), reporting(1)];
      const picksOf = (from: number, n: number): number => {
        let picked = 0;
        for (let i = 0; i < n; i += 1)
          if (random.pick(pool, [], from + i * 20) === pool[2] && i > 0) picked += 1;
        return picked;
      };
      assert.ok(picksOf(0, 100) >= 1);
      for (let i = 0; i < 5; i += 1) pool[2]!.latency.record(500, 2_000);
      const rare = picksOf(2_000, 40);
      assert.equal(rare, 0);
      const full = [reporting(0), reporting(0), reporting(4, { inFlight: 4 })];
      const balancer = new LeastLoaded(seeded(3));
      for (let i = 0; i < 140; i += 1) assert.notEqual(balancer.pick(full, [], i * 20), full[2]);
    });

    it('one whose places are taken by long calls is known for it as long as its report counts', () => {
      const pool = [reporting(5, { inFlight: 1 }), reporting(2), reporting(2)];
      const [full, free] = pool as [EndpointLoad, EndpointLoad];
      full.reported!.take({ calls: 5, concurrency: 4, longCalls: 4, runMs: 100 }, 1, 0);
      free.reported!.take({ calls: 2, concurrency: 4, longCalls: 2, runMs: 100 }, 0, 0);
      const balancer = new LeastLoaded(seeded(3));
      const picks = Array.from({ length: 60 }, (_, i) => balancer.pick(pool, [], i * 40));
      assert.ok(!picks.includes(full));
      assert.ok(picks.filter((each) => each === free).length >= 20, 'two places are free there');
    });

    it('idle streams are no load, unless nothing is answered there', () => {
      const idle = reporting(0, { inFlight: 1 });
      idle.inFlight = 4;
      idle.reported!.take({ calls: 0, concurrency: 4, idleStreams: 4, runMs: 100 }, 4, 0);
      const others = [reporting(1), reporting(1)];
      assert.deepEqual(sharesOf([idle, ...others]), [1, 0, 0]);
      idle.unansweredInRow = 4;
      assert.deepEqual(sharesOf([idle, ...others]), [1, 0, 0], 'the streams may have nothing to answer');
      idle.unansweredInRow = 7;
      const balancer = new LeastLoaded(seeded(3));
      for (let i = 0; i < 200; i += 1) assert.notEqual(balancer.pick([idle, ...others], [], 150), idle);
    });

    it('one whose report says too little gets a call now and then where all that is known of would fit', () => {
      const picksOf = (inFlight: number, latencyMs = 10): number => {
        const balancer = new LeastLoaded(seeded(3));
        const pool = [endpoint({ latencyMs, inFlight }), reporting(0), reporting(0)];
        const reported = new ReportedLoad();
        pool[0]!.reported = reported;
        assert.ok(!reported.take({ calls: 0, concurrency: 4, runMs: 100 }, inFlight, 0));
        let picked = 0;
        for (let i = 0; i < 140; i += 1) if (balancer.pick(pool, [], i * 20) === pool[0]) picked += 1;
        return picked;
      };
      assert.ok(picksOf(3) >= 1);
      assert.equal(picksOf(4), 0, 'all places may be taken');
      assert.equal(picksOf(3, 500), 0, 'it is slow');
    });

    it('equals share, also beside one that may not be picked', () => {
      const pool = [reporting(1), reporting(1), reporting(1), reporting(1)];
      pool[1]!.eligible = false;
      const found = sharesOf(pool, 30_000);
      assert.equal(found[1], 0);
      for (const i of [0, 2, 3]) about(found[i]!, 1 / 3, 0.02);
    });

    it('a stream avoids one that is slow in its first message, though fewer streams are open there', () => {
      const pool = [reporting(0), reporting(12, { inFlight: 12 }), reporting(12, { inFlight: 12 })];
      for (const [i, ms] of [50, 5, 5].entries()) pool[i]!.latencyOf(CallKind.stream).record(ms, 0);
      const balancer = new LeastLoaded(seeded(3));
      const picks = Array.from({ length: 100 }, () => balancer.pick(pool, [], 1, undefined, CallKind.stream));
      assert.ok(!picks.includes(pool[0]!));
    });

    it('a stream goes where a place is free, and last of all behind calls that run for long', () => {
      const streamsOf = (pool: ReturnType<typeof endpoint>[]): number[] => {
        for (const each of pool) each.latencyOf(CallKind.stream).record(5, 0);
        const balancer = new LeastLoaded(seeded(3));
        const counts = pool.map(() => 0);
        for (let i = 0; i < 900; i++)
          counts[pool.indexOf(balancer.pick(pool, [], 1, undefined, CallKind.stream)!)]! += 1;
        return counts.map((count) => count / 900);
      };
      const [full, ...free] = streamsOf([8, 7, 7].map((calls) => reporting(calls, { concurrency: 8 })));
      assert.equal(full, 0);
      for (const share of free) about(share, 1 / 2, 0.06);
      const withLong = reporting(2, { concurrency: 2 });
      withLong.reported!.take({ calls: 2, concurrency: 2, longCalls: 2, runMs: 100 }, 0, 0);
      assert.deepEqual(streamsOf([withLong, reporting(9, { concurrency: 2 })]), [0, 1]);
    });

    it('one without a report is taken to have what the others have in the mean', () => {
      const silent = endpoint({ latencyMs: 10 });
      assert.deepEqual(sharesOf([silent, reporting(1), reporting(9)]), [0, 1, 0]);
      about(sharesOf([silent, reporting(8)])[0]!, 1 / 2);
      silent.inFlight = 1;
      assert.deepEqual(sharesOf([silent, reporting(8)]), [0, 1]);
    });

    it('calls are compared with what an endpoint runs at once, within a factor of two of the mean', () => {
      assert.deepEqual(
        sharesOf([reporting(5, { concurrency: 8 }), reporting(4, { concurrency: 4 })]),
        [1, 0],
      );
      assert.deepEqual(
        sharesOf([reporting(20, { concurrency: 1e6 }), reporting(4)]),
        [0, 1],
        'a boast is bounded',
      );
    });

    it('latency counts beyond one and a half times that of a peer', () => {
      const slow = (latencyMs: number) => [
        reporting(3, { latencyMs }),
        ...[4, 4, 4].map((calls) => reporting(calls)),
      ];
      assert.equal(sharesOf(slow(11))[0], 1);
      assert.equal(sharesOf(slow(100))[0], 0, 'a small queue does not make up for a slow endpoint');
    });

    it('a report that is too old leaves the choice to two draws, latency and our own calls', () => {
      const pool = [reporting(3), reporting(1), reporting(2)];
      const balancer = new LeastLoaded(seeded(3));
      assert.equal(balancer.pick(pool, [], 40), pool[1]);
      const counts = pool.map(() => 0);
      for (let i = 0; i < 3_000; i += 1) counts[pool.indexOf(balancer.pick(pool, [], 3_100)!)]! += 1;
      for (const count of counts) about(count / 3_000, 1 / 3, 0.05);
    });

    it('an endpoint that was tried is taken only when all were', () => {
      const pool = [reporting(0), reporting(5)];
      const balancer = new LeastLoaded(seeded(3));
      assert.equal(balancer.pick(pool, [pool[0]!], 0), pool[1]);
      assert.equal(balancer.pick(pool, pool, 0), pool[0]);
    });

    it('weights hold: load is in proportion to them', () => {
      const pool = [reporting(3), reporting(3)];
      pool[0]!.weight = 3;
      assert.equal(sharesOf(pool)[0]! > 0.7, true);
    });

    it('with many endpoints only some are compared, and none is left out for good', () => {
      const pool = Array.from({ length: 40 }, (_, i) => reporting(i));
      const found = sharesOf(pool, 4_000);
      assert.ok(found.filter((share) => share > 0).length > 20);
    });
  });

  it('never takes an endpoint with a long queue while a peer is idle, though a third one is warming up', () => {
    for (const weightFactor of [0.1, 0.9]) {
      const pool = [
        endpoint({ latencyMs: 10, inFlight: 40 }),
        endpoint({ latencyMs: 10 }),
        endpoint({ latencyMs: 10, weightFactor }),
      ];
      const [queued, , warming] = shares(new LeastLoaded(seeded(5)), pool, 20_000);
      assert.equal(queued, 0, 'share of the calls that wait in the queue');
      about(warming!, weightFactor / (2 + weightFactor), 0.015);
    }
  });

  it('never takes an endpoint with a long queue while a peer is idle, though a third one is suspected', () => {
    const pool = [
      endpoint({ latencyMs: 10, inFlight: 40 }),
      endpoint({ latencyMs: 10 }),
      Object.assign(endpoint({ latencyMs: 10 }), { trust: 0.1 }),
    ];
    const [queued, , suspect] = shares(new LeastLoaded(seeded(7)), pool, 20_000);
    assert.equal(queued, 0, 'share of the calls that wait in the queue');
    // Of two it is the idle one, of the other two either may be.
    about(suspect!, 0.1 * (1 / 3 + 1 / 6), 0.01);
  });

  it('compares the endpoints of a near locality with each other, however many far ones there are', () => {
    const near = [40, 0, 0].map((inFlight) => endpoint({ latencyMs: 10, inFlight }));
    const far = Array.from({ length: 10 }, () => endpoint({ latencyMs: 10, weightFactor: 0.1 }));
    const [queued] = shares(new LeastLoaded(seeded(6)), [...near, ...far], 20_000);
    assert.ok(queued! < 0.01, `${queued} of the calls wait in the queue`);
  });

  describe('an endpoint that is not chosen gets a call now and then', () => {
    /** Calls that the slower of two gets, of 600, one each millisecond. */
    const rescues = (balancer: LeastLoaded, pool: readonly EndpointLoad[]): number => {
      let calls = 0;
      for (let nowMs = 0; nowMs < 600; nowMs++) if (balancer.pick(pool, [], nowMs) === pool[1]) calls++;
      return calls;
    };
    const both = (): EndpointLoad[] => [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 25 })];

    it('from its only balancer', () => {
      const calls = rescues(new LeastLoaded(seeded(1)), both());
      assert.ok(calls > 0 && calls < 7, `${calls} of 600`);
    });

    it('from a balancer that takes the place of another one', () => {
      const pool = both();
      const before = new LeastLoaded(seeded(1));
      pool[0]!.inFlight = 100;
      for (let i = 0; i < 10_000; i++) before.pick(pool, [], 0);
      pool[0]!.inFlight = 0;
      const calls = rescues(new LeastLoaded(seeded(1)), pool);
      assert.ok(calls > 0 && calls < 7, `${calls} of 600`);
    });

    it('from each of those that have it in common, and no more because others have more calls', () => {
      const pool = both();
      const [few, many] = [new LeastLoaded(seeded(1)), new LeastLoaded(seeded(2))];
      const alone = endpoint({ latencyMs: 40 });
      const group = [alone, pool[1]!];
      let [own, ofOther] = [0, 0];
      for (let nowMs = 0; nowMs < 600; nowMs++) {
        if (few.pick(pool, [], nowMs) === pool[1]) own++;
        for (let i = 0; i < 20; i++) if (many.pick(group, [], nowMs) === alone) ofOther++;
      }
      assert.ok(own > 0 && own < 7, `${own} of 600`);
      assert.ok(ofOther > 0 && ofOther < 200, `${ofOther} of 12,000`);
    });
  });

  it('leaves a suspect its trust of what it would get, and never more', () => {
    const pool = (trust: number, slowMs: number) => [
      Object.assign(endpoint({ latencyMs: slowMs }), { trust }),
      endpoint({ latencyMs: 10 }),
      endpoint({ latencyMs: 10 }),
    ];
    for (const slowMs of [10, 20]) {
      const [before] = shares(new LeastLoaded(seeded(1)), pool(1, slowMs), 20_000);
      const [after] = shares(new LeastLoaded(seeded(1)), pool(0.4, slowMs), 20_000);
      about(after!, 0.4 * before!, 0.015);
    }
    const alone = Object.assign(endpoint(), { trust: 0.1 });
    assert.equal(new LeastLoaded(seeded(1)).pick([alone], [], 0), alone);
  });

  it('leaves it so much beside reported loads, too', () => {
    const reporting = (trust: number) => {
      const reported = new ReportedLoad();
      reported.take({ calls: 1, concurrency: 1, runMs: 0 }, 0, 0);
      return Object.assign(endpoint({ latencyMs: 10 }), { trust, reported });
    };
    const pool = [reporting(0.25), reporting(1), reporting(1)];
    about(shares(new LeastLoaded(seeded(2)), pool, 20_000)[0]!, 0.25 / 3, 0.015);
    const alone = reporting(0.1);
    assert.equal(new LeastLoaded(seeded(1)).pick([alone], [], 0), alone);
  });
});
