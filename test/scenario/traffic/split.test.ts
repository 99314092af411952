/** Calls of one upstream shared between several: by metadata, by weight, sticky, once; run as calls of the upstream that gets them. */
import assert from 'node:assert/strict';
import { trafficShiftMetrics } from '../../../sidecar/app/metrics/traffic-shift.js';
import type { SplitConfig } from '../../../sidecar/config/model.js';
import { countBy } from '../../kit/scenario/counts.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import {
  anUpstream,
  aRoute,
  aSafeRoute,
  type CallOptions,
  type OutboundStack,
} from '../../kit/stack/stack.js';

const CANARY: SplitConfig = {
  match: [{ key: 'x-canary', value: 'yes', upstream: 'canary' }],
  weights: { digits: 90, canary: 10 },
};

describe('Scenario: a split', () => {
  let stack: UpstreamStack;
  let canary: OutboundStack;

  function start(split: SplitConfig, seed = 1): void {
    stack = new UpstreamStack(['s'], { routes: [aRoute({ split })] }, { seed });
    canary = stack.outbound(anUpstream(['c'], { name: 'canary' }));
    for (const name of ['s', 'c', 'o'])
      stack.backend(name).answer = (stream) => stream.reply(Buffer.from(name));
  }

  function shares(n: number, options: (i: number) => CallOptions = () => ({})): Record<string, number> {
    const calls = Array.from({ length: n }, (_, i) => stack.call(options(i)));
    return countBy(calls, ({ body }) => body.toString());
  }

  afterEach(() => stack.close());

  for (const seed of [1, 2]) {
    it(`gives each its weight (seed ${seed})`, () => {
      start(CANARY, seed);
      const found = shares(500);
      // Four standard deviations of 500 draws at 0.1.
      assert.ok(Math.abs(found['c']! - 50) < 27, JSON.stringify(found));
      assert.equal(found['s']! + found['c']!, 500);
      const [family] = trafficShiftMetrics([stack.out.outbound, canary.outbound]);
      assert.equal(family!.name, 'outrider_split_total');
      assert.deepEqual(
        new Map(family!.samples.map((sample) => [sample.labels['to'], 'value' in sample && sample.value])),
        new Map([
          ['digits', found['s']],
          ['canary', found['c']],
        ]),
      );
    });
  }

  it('goes by metadata first', () => {
    start(CANARY);
    assert.deepEqual(
      shares(20, () => ({ metadata: [['x-canary', 'yes']] })),
      { c: 20 },
    );
  });

  it('sticks to a key', () => {
    start({ ...CANARY, stickyBy: 'x-user' });
    const of = (user: number) => stack.call({ metadata: [['x-user', `u${user}`]] }).body.toString();
    const first = Array.from({ length: 60 }, (_, i) => of(i));
    assert.ok(first.includes('c') && first.includes('s'));
    for (let round = 0; round < 3; round++)
      assert.deepEqual(
        first.map((_, i) => of(i)),
        first,
      );
  });

  it('is a call of the other upstream: its authority, endpoints, retries, time and bounds', () => {
    start({ match: [], weights: { canary: 1 } });
    canary.outbound.update(
      anUpstream(['c', 'o'], {
        name: 'canary',
        routes: [aSafeRoute({ timeoutMs: 700 })],
        breaker: { maxConnections: 0, maxPending: 0, maxInFlight: 2, maxRetries: 0 },
      }),
    );
    stack.run();
    stack.backend('c').answer = (stream) => stream.fail(14);
    for (let i = 0; i < 2; i++) assert.equal(stack.call().body.toString(), 'o');
    assert.equal(stack.backend('c').last.header(':authority'), 'canary');
    assert.equal(canary.outbound.retries, 1);
    assert.equal(stack.out.outbound.attempts, 0);
    for (const name of ['c', 'o']) stack.backend(name).answer = () => {};
    const late = [stack.call(), stack.call()];
    assert.equal(stack.call().reason, 'breaker-open');
    stack.advance(710);
    for (const each of late) assert.deepEqual([each.status, each.reason], [4, 'deadline-exceeded']);
    // The application called `digits`: there its calls are counted.
    const tallies = stack.context.stats.calls.filter(({ started }) => started > 0);
    assert.deepEqual(
      tallies.map(({ service, started }) => [service, started]),
      [['digits', 5]],
    );
  });

  it('is made once, however the others split', () => {
    start({ match: [], weights: { canary: 1 } });
    const back = { match: [], weights: { digits: 1 } };
    canary.outbound.update(anUpstream(['c'], { name: 'canary', routes: [aRoute({ split: back })] }));
    stack.run();
    assert.deepEqual(shares(5), { c: 5 });
    // Made to the other one, they go the other way.
    const app = stack.app(canary.listener);
    const calls = Array.from({ length: 5 }, () => stack.settle(app.call()));
    assert.deepEqual(
      calls.map(({ body }) => body.toString()),
      Array(5).fill('s'),
    );
  });

  it('leaves calls where they are while the other upstream is not there, or has no route for them', () => {
    start({ match: [], weights: { unknown: 1 } });
    assert.deepEqual(shares(2), { s: 2 });
    stack.out.outbound.update(
      anUpstream(['s'], {
        routes: [aRoute({ split: { match: [], weights: { canary: 1 } } })],
      }),
    );
    canary.outbound.update(anUpstream(['c'], { name: 'canary', routes: [aRoute({ methods: ['/a.B/C'] })] }));
    stack.run();
    assert.deepEqual(shares(2), { s: 2 });
  });

  it('may fall back to where it came from', () => {
    start({ match: [], weights: { canary: 1 } });
    const fallback = [{ kind: 'upstream', upstream: 'digits' }] as const;
    canary.outbound.update(anUpstream(['c'], { name: 'canary', routes: [aRoute({ fallback })] }));
    stack.run();
    stack.backend('c').answer = (stream) => stream.fail(14);
    const answered = stack.call();
    assert.deepEqual([answered.status, answered.body.toString()], [0, 's']);
    assert.match(answered.header('outrider-degraded')!, /from=digits$/);
  });

  it('ends and begins with the file', () => {
    start({ match: [], weights: { canary: 1 } });
    assert.deepEqual(shares(2), { c: 2 });
    stack.out.outbound.update(anUpstream(['s']));
    assert.deepEqual(shares(2), { s: 2 });
  });

  it('does not believe what an upstream outside the mesh says in our name', () => {
    start({ match: [], weights: { canary: 1 } });
    stack.settle(canary.outbound.update(anUpstream(['c'], { name: 'canary', tls: 'plaintext' })));
    stack.backend('c').answer = (stream) =>
      stream.reply(Buffer.from('c'), 0, [['outrider-reason', 'overloaded']]);
    assert.equal(stack.call().reason, undefined);
  });
});
