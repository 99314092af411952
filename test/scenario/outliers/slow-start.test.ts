/** Replicas that come, or come back, get a growing share of the calls until they are as fast as the others. */
import assert from 'node:assert/strict';
import { DetectorPool, SLOW_START } from '../../kit/scenario/detector-pool.js';
import { addressOf, anUpstream, type UpstreamOptions } from '../../kit/stack/stack.js';

describe('Scenario: slow start', () => {
  let pool: DetectorPool;
  const start = (names: readonly string[], over: UpstreamOptions = {}): void => {
    pool = new DetectorPool(names, { slowStart: SLOW_START, ...over });
    pool.works(names, 5);
  };
  const kill = (name: string): void => pool.settle(pool.kill(name));
  const revive = (...names: readonly string[]): void => {
    for (const name of names) pool.revive(name);
    pool.advance(5_000);
  };

  for (const kind of ['round-robin', 'least-loaded'] as const) {
    it(`a replica that was restarted begins with little, and ends with all (${kind})`, () => {
      start(['a', 'b', 'c'], { balance: { kind } });
      assert.ok(pool.load(90)['c']! > 20, 'those of the beginning start at once');
      kill('c');
      pool.load(30);
      revive('c');
      assert.match(pool.report('c').why, /^warming up: 0 calls, 10 % of its share$/);
      const first = pool.load(60)['c'] ?? 0;
      assert.ok(first >= 1 && first <= 10, `${first} of 60`);
      pool.load(400);
      assert.equal(pool.report('c').why, '');
      const { c = 0 } = pool.load(300);
      assert.ok(c > 75 && c < 125, `${c} of 300`);
    });
  }

  it('one that stays slower than its peers waits, whatever the number of its calls, but not for ever', () => {
    start(['a', 'b'], { ejection: { detectors: {} } });
    kill('b');
    pool.load(50, 20);
    pool.works('b', 50);
    revive('b');
    pool.load(600, 50);
    assert.match(pool.report('b').why, /^warming up: \d{2,} calls, 1[0-9] % of its share$/);
    pool.load(800, 50);
    assert.equal(pool.report('b').why, '');
  });

  it('one that is new among others warms up, and one that discovery moves does not', () => {
    start(['a', 'b']);
    pool.load(40);
    pool.works('n');
    const config = anUpstream(['a', 'b', 'n'], { slowStart: SLOW_START });
    pool.settle(pool.out.outbound.state.update(config));
    const early = pool.load(30)['n'] ?? 0;
    assert.ok(early >= 1 && early <= 6, `${early}`);
    pool.load(300);
    const moved = config.endpoints.map((each) => ({ ...each, id: `${each.id}2`, address: each.address }));
    pool.out.outbound.state.update({ ...config, endpoints: moved });
    const late = pool.load(90)['n'] ?? 0;
    assert.ok(late >= 28, `${late}`);
    assert.deepEqual(addressOf('n'), moved[2]!.address);
  });

  it('one that passes its probe after an ejection warms up', () => {
    start(['a', 'b', 'c']);
    pool.fails('b');
    pool.load(60);
    assert.equal(pool.report('b').state, 'ejected');
    pool.works('b', 5);
    pool.advance(31_000);
    pool.load(10);
    assert.match(pool.report('b').why, /^warming up/);
    const few = pool.load(40)['b'] ?? 0;
    assert.ok(few <= 6, `${few} of 40`);
  });

  it('when all come back at once, none gets much more than its share', () => {
    start(['a', 'b', 'c']);
    pool.load(30);
    for (const name of pool.names) kill(name);
    revive(...pool.names);
    const found = pool.load(300);
    for (const name of pool.names) assert.ok(found[name]! > 80 && found[name]! < 150, JSON.stringify(found));
  });
});
