/** Replicas that come, or come back, get a growing share of the calls until they are as fast as the others. */
import assert from 'node:assert/strict';
import { DetectorPool, SLOW_START } from '../../kit/scenario/detector-pool.js';
import { addressOf, anUpstream } from '../../kit/stack/stack.js';

describe('Scenario: slow start', () => {
  let pool: DetectorPool;
  afterEach(() => pool.close());

  const kill = (name: string): void => pool.stack.settle(pool.stack.kill(name));
  const revive = (name: string): void => {
    pool.stack.backend(name).mode = 'accepts';
    pool.stack.advance(5_000);
  };

  for (const kind of ['round-robin', 'least-loaded'] as const) {
    it(`a replica that was restarted begins with little, and ends with all (${kind})`, () => {
      pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind }, slowStart: SLOW_START });
      for (const name of pool.names) pool.works(name, 5);
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
    pool = new DetectorPool(['a', 'b'], { slowStart: SLOW_START, ejection: { detectors: {} } });
    pool.works('a', 5);
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
    pool = new DetectorPool(['a', 'b'], { slowStart: SLOW_START });
    for (const name of pool.names) pool.works(name, 5);
    pool.load(40);
    pool.stack.backend('n').answer = (stream) => stream.reply(Buffer.from('n'));
    const config = anUpstream(['a', 'b', 'n'], { slowStart: SLOW_START });
    pool.stack.settle(pool.out.outbound.update(config));
    const early = pool.load(30)['n'] ?? 0;
    assert.ok(early >= 1 && early <= 6, `${early}`);
    pool.load(300);
    const moved = config.endpoints.map((each) => ({ ...each, id: `${each.id}2`, address: each.address }));
    pool.out.outbound.update({ ...config, endpoints: moved });
    const late = pool.load(90)['n'] ?? 0;
    assert.ok(late >= 28, `${late}`);
    assert.deepEqual(addressOf('n'), moved[2]!.address);
  });

  it('one that passes its probe after an ejection warms up', () => {
    pool = new DetectorPool(['a', 'b', 'c'], { slowStart: SLOW_START });
    for (const name of pool.names) pool.works(name, 5);
    pool.fails('b');
    pool.load(60);
    assert.equal(pool.report('b').state, 'ejected');
    pool.works('b', 5);
    pool.stack.advance(31_000);
    pool.load(10);
    assert.match(pool.report('b').why, /^warming up/);
    const few = pool.load(40)['b'] ?? 0;
    assert.ok(few <= 6, `${few} of 40`);
  });

  it('when all come back at once, none gets much more than its share', () => {
    pool = new DetectorPool(['a', 'b', 'c'], { slowStart: SLOW_START });
    for (const name of pool.names) pool.works(name, 5);
    pool.load(30);
    for (const name of pool.names) kill(name);
    for (const name of pool.names) pool.stack.backend(name).mode = 'accepts';
    pool.stack.advance(5_000);
    const found = pool.load(300);
    for (const name of pool.names) assert.ok(found[name]! > 80 && found[name]! < 150, JSON.stringify(found));
  });
});
