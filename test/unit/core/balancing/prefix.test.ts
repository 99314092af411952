/** Prompts that begin alike at the same engine, within bounds of load. What it brings over the others: `npm run bench -- prefix`. */
import assert from 'node:assert/strict';
import { EndpointLoad, NO_KEY } from '../../../../sidecar/core/balancing/balancer.js';
import { Prefix } from '../../../../sidecar/core/balancing/prefix.js';
import { BLOCK_TOKENS, blocksOf } from '../../../../sidecar/core/balancing/prompt-blocks.js';
import { ReportedLoad } from '../../../../sidecar/core/balancing/reported-load.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const PLACES = 32;

function endpoints(count: number): EndpointLoad[] {
  const labels = Array.from({ length: count }, (_, i) => `10.0.0.${i}:8000`);
  return labels.map((label) => Object.assign(new EndpointLoad(), { label }));
}

const idsOf = (number: number, count: number): Uint32Array => {
  const random = seeded(number);
  return Uint32Array.from({ length: count }, () => Math.floor(random() * 128_000));
};

/** A prompt of the parts of these numbers, each of so many blocks. */
const prompt = (...parts: readonly (readonly [number, number])[]): Uint32Array => {
  const ids = Uint32Array.from(
    parts.flatMap(([number, blocks]) => [...idsOf(number, blocks * BLOCK_TOKENS)]),
  );
  return blocksOf(ids, ids.length);
};

const NAMED = prompt([1, 40]);

class Pool {
  readonly all: readonly EndpointLoad[];
  readonly balancer = new Prefix(seeded(7), { cacheTokens: 65_536 });

  constructor(count: number) {
    this.all = endpoints(count);
  }

  pick(blocks: Uint32Array, nowMs = 0, tried: readonly EndpointLoad[] = []): EndpointLoad {
    return this.balancer.pick(this.all, tried, nowMs, NO_KEY, 1, blocks)!;
  }

  sent(at: number, blocks: Uint32Array, nowMs = 0): void {
    this.balancer.recordPrompt(this.all[at]!, blocks, this.all.length, nowMs);
  }

  report(calls: readonly number[], nowMs = 0): void {
    calls.forEach((each, i) => {
      this.all[i]!.reported ??= new ReportedLoad();
      const said = { calls: each, concurrency: PLACES, runMs: 1_000 };
      this.all[i]!.reported.take(said, this.all[i]!.inFlight, nowMs);
    });
  }

  /** The engines of so many picks. */
  picked(blocks: Uint32Array, times = 200, nowMs = 0): Set<number> {
    return new Set(Array.from({ length: times }, () => this.all.indexOf(this.pick(blocks, nowMs))));
  }
}

describe('Prefix', () => {
  it('sends a prompt where most of its beginning was sent', () => {
    const pool = new Pool(8);
    pool.sent(2, prompt([1, 10]));
    pool.sent(5, prompt([1, 10], [2, 10]));
    pool.sent(6, prompt([3, 30]));
    assert.deepEqual([...pool.picked(prompt([1, 10], [2, 10], [4, 3]))], [5]);
    assert.deepEqual([...pool.picked(prompt([3, 30], [4, 3]))], [6]);
  });

  it('sends what begins as no prompt before to all engines about alike, and so after it has been started again', () => {
    const pool = new Pool(8);
    pool.sent(2, prompt([1, 10]));
    assert.equal(pool.picked(prompt([9, 40])).size, 8);
    assert.equal(pool.picked(new Uint32Array(0)).size, 8);
    assert.equal(new Pool(8).picked(prompt([1, 10])).size, 8);
  });

  it('keeps the turns of a chat together, though all chats begin with the same words', () => {
    const pool = new Pool(4);
    pool.report([0, 0, 0, 0]);
    const homes = new Map<number, EndpointLoad>();
    for (let turn = 1; turn <= 4; turn++)
      for (let chat = 0; chat < 24; chat++) {
        const parts = Array.from({ length: turn }, (_, i) => [1_000 * (chat + 1) + i, 16] as const);
        const blocks = prompt([1, 4], ...parts);
        const endpoint = pool.pick(blocks);
        pool.balancer.recordPrompt(endpoint, blocks, 4, 0);
        if (turn === 1) {
          homes.set(chat, endpoint);
          // All first turns are under way at the same time.
          endpoint.inFlight += 1;
        } else assert.equal(endpoint, homes.get(chat), `turn ${turn} of chat ${chat}`);
      }
    const counts = pool.all.map((each) => [...homes.values()].filter((home) => home === each).length);
    assert.ok(Math.max(...counts) <= 9, `a common beginning does not draw them all: ${counts}`);
  });

  it('leaves an engine with twice the calls of the mean one, however much of the prompt it has', () => {
    const pool = new Pool(4);
    const long = prompt([1, 500]);
    pool.sent(1, long);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 400; i++) {
      const endpoint = pool.pick(long);
      endpoint.inFlight++;
      counts[pool.all.indexOf(endpoint)]!++;
    }
    assert.ok(counts[1]! > 180 && counts[1]! <= 202, `${counts}`);
  });

  it('weighs what is to be computed against the calls there', () => {
    const pool = new Pool(4);
    pool.sent(0, prompt([1, 4]));
    pool.sent(1, prompt([1, 4], [2, 40]));
    pool.report([8, 8, 0, 0]);
    assert.ok(!pool.picked(prompt([1, 4], [3, 40])).has(0), '128 tokens are not worth eight calls');
    assert.deepEqual([...pool.picked(prompt([1, 4], [2, 40], [3, 2]))], [1], '1,400 tokens are');
  });

  it('never sends to an engine whose places are all taken while another one has some', () => {
    const pool = new Pool(3);
    pool.sent(1, NAMED);
    pool.report([31, 32, 31]);
    assert.ok(!pool.picked(NAMED).has(1));
    pool.report([31, 31, 31], 100);
    assert.deepEqual([...pool.picked(NAMED, 50, 100)], [1]);
    pool.report([40, 40, 40], 200);
    assert.deepEqual([...pool.picked(NAMED, 50, 200)], [1], 'all are full: what it has counts again');
  });

  it('takes an engine for full that reports nothing and turns calls away', () => {
    const pool = new Pool(3);
    pool.sent(1, NAMED);
    for (let i = 0; i < 4; i++) pool.all[1]!.latency.recordRefusal(0);
    assert.ok(!pool.picked(NAMED).has(1));
    assert.deepEqual([...pool.picked(NAMED, 50, 60_000)], [1], 'until that is long ago');
  });

  it('leaves an engine that answers nothing', () => {
    const pool = new Pool(3);
    pool.sent(1, NAMED);
    pool.all[1]!.inFlight = 3;
    pool.report([0, 3, 0], 10_000);
    pool.all[1]!.unansweredInRow = 3;
    assert.ok(!pool.picked(NAMED, 50, 10_000).has(1));
    pool.all[1]!.unansweredInRow = 0;
    assert.deepEqual([...pool.picked(NAMED, 50, 10_000)], [1]);
  });

  it('goes elsewhere with another attempt, to the engine that has next most of it', () => {
    const pool = new Pool(5);
    pool.sent(1, NAMED);
    pool.sent(3, prompt([1, 40]).subarray(0, 20));
    const [first, second] = [pool.all[1]!, pool.all[3]!];
    assert.equal(pool.pick(NAMED), first);
    assert.equal(pool.pick(NAMED, 0, [first]), second);
    const third = pool.pick(NAMED, 0, [first, second]);
    assert.ok(third !== first && third !== second);
    assert.ok(pool.pick(NAMED, 0, pool.all), 'when all were tried, any is better than none');
  });

  it('leaves out engines that may get no calls', () => {
    const pool = new Pool(3);
    pool.sent(1, NAMED);
    pool.all[1]!.eligible = false;
    assert.ok(!pool.picked(NAMED).has(1));
    pool.all[1]!.eligible = true;
    pool.all[1]!.weight = 0;
    assert.ok(!pool.picked(NAMED).has(1));
    for (const each of pool.all) each.eligible = false;
    assert.equal(pool.balancer.pick(pool.all, [], 0, NO_KEY, 1, NAMED), undefined);
    assert.equal(pool.balancer.pick([], [], 0, NO_KEY, 1, NAMED), undefined);
  });

  it('gives an engine with a lowered weight its part of the prompts that it has', () => {
    const pool = new Pool(4);
    pool.sent(1, NAMED);
    pool.report([0, 0, 0, 0]);
    pool.all[1]!.weightFactor = 0.25;
    pool.balancer.reweighed();
    let own = 0;
    for (let i = 0; i < 2_000; i++) if (pool.pick(NAMED) === pool.all[1]) own++;
    assert.ok(own > 450 && own < 750, `${own} of 2,000`);
  });

  it('forgets what was sent ten minutes ago', () => {
    const pool = new Pool(4);
    pool.sent(1, NAMED, 0);
    assert.deepEqual([...pool.picked(NAMED, 50, 599_000)], [1]);
    assert.equal(pool.picked(NAMED, 200, 601_000).size, 4);
  });

  it('remembers no more of each engine than fits into the memory for all', () => {
    const pool = new Pool(2);
    pool.sent(0, NAMED);
    assert.equal(pool.all[0]!.sentBlocks!.capacity, 2_048);
    pool.balancer.recordPrompt(pool.all[1]!, NAMED, 16_384, 0);
    assert.equal(pool.all[1]!.sentBlocks!.capacity, 128);
  });
});
