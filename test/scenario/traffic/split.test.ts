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
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const CANARY: SplitConfig = {
  match: [{ key: 'x-canary', value: 'yes', upstream: 'canary' }],
  weights: { digits: 90, canary: 10 },
};

const ALL_CANARY: SplitConfig = { match: [], weights: { canary: 1 } };

describe('Scenario: a split', () => {
  let stack: UpstreamStack;
  let canary: OutboundStack;

  function start(split: SplitConfig, seed = 1): void {
    stack = new UpstreamStack(['s'], { routes: [aRoute({ split })] }, { seed });
    canary = stack.outbound(anUpstream(['c'], { name: 'canary' }));
    stack.works(['s', 'c', 'o']);
  }
  function updateCanary(over: UpstreamOptions, names: readonly string[] = ['c']): void {
    stack.settle(canary.outbound.state.update(anUpstream(names, { name: 'canary', ...over })));
  }

  function shares(n: number, options: (i: number) => CallOptions = () => ({})): Record<string, number> {
    const calls = Array.from({ length: n }, (_, i) => stack.call(options(i)));
    return countBy(calls, ({ body }) => body.toString());
  }

  for (const seed of [1, 2]) {
    it(`gives each its weight (seed ${seed})`, () => {
      start(CANARY, seed);
      const found = shares(500);
      // Four standard deviations of 500 draws at 0.1.
      assert.ok(Math.abs(found['c']! - 50) < 27, JSON.stringify(found));
      assert.equal(found['s']! + found['c']!, 500);
      const [family] = trafficShiftMetrics([stack.out.outbound.state, canary.outbound.state]);
      assert.equal(family!.name, 'outrider_split_total');
      const samples = family!.samples.map((each) => [each.labels['to'], 'value' in each && each.value]);
      assert.deepEqual(Object.fromEntries(samples), { digits: found['s'], canary: found['c'] });
    });
  }

  it('goes by metadata first', () => {
    start(CANARY);
    const found = shares(20, () => ({ metadata: [['x-canary', 'yes']] }));
    assert.deepEqual(found, { c: 20 });
  });

  it('sticks to a key', () => {
    start({ ...CANARY, stickyBy: 'x-user' });
    const of = (user: number) => stack.call({ metadata: [['x-user', `u${user}`]] }).body.toString();
    const round = (): string[] => Array.from({ length: 60 }, (_, i) => of(i));
    const first = round();
    assert.ok(first.includes('c') && first.includes('s'));
    for (let i = 0; i < 3; i++) assert.deepEqual(round(), first);
  });

  it('is a call of the other upstream: its authority, endpoints, retries, time and bounds', () => {
    start(ALL_CANARY);
    const breaker = { maxConnections: 0, maxPending: 0, maxInFlight: 2, maxRetries: 0 };
    updateCanary({ routes: [aSafeRoute({ timeoutMs: 700 })], breaker }, ['c', 'o']);
    stack.answers((stream) => void stream.fail(14), 'c');
    for (let i = 0; i < 2; i++) assert.equal(stack.call().body.toString(), 'o');
    assert.equal(stack.backend('c').last.header(':authority'), 'canary');
    assert.equal(canary.outbound.state.retries, 1);
    assert.equal(stack.out.outbound.state.attempts, 0);
    stack.answers(() => {}, 'c', 'o');
    const late = [stack.call(), stack.call()];
    assert.equal(stack.call().reason, 'breaker-open');
    stack.advance(710);
    for (const each of late) assert.deepEqual([each.status, each.reason], [4, 'deadline-exceeded']);
    // The application called `digits`: there its calls are counted.
    const { calls } = stack.context.stats;
    const tallies = calls.flatMap(({ service, started }) => (started > 0 ? [[service, started]] : []));
    assert.deepEqual(tallies, [['digits', 5]]);
  });

  it('is made once, however the others split', () => {
    start(ALL_CANARY);
    const back = { match: [], weights: { digits: 1 } };
    updateCanary({ routes: [aRoute({ split: back })] });
    assert.deepEqual(shares(5), { c: 5 });
    // Made to the other one, they go the other way.
    const app = stack.app(canary.listener);
    for (let i = 0; i < 5; i++) assert.equal(stack.settle(app.call()).body.toString(), 's');
  });

  it('leaves calls where they are while the other upstream is not there, or has no route for them', () => {
    start({ match: [], weights: { unknown: 1 } });
    assert.deepEqual(shares(2), { s: 2 });
    stack.update({ routes: [aRoute({ split: ALL_CANARY })] });
    updateCanary({ routes: [aRoute({ methods: ['/a.B/C'] })] });
    assert.deepEqual(shares(2), { s: 2 });
  });

  it('may fall back to where it came from', () => {
    start(ALL_CANARY);
    const fallback = [{ kind: 'upstream', upstream: 'digits' }] as const;
    updateCanary({ routes: [aRoute({ idempotent: true, fallback })] });
    stack.answers((stream) => void stream.fail(14), 'c');
    const answered = stack.call();
    assert.deepEqual([answered.status, answered.body.toString()], [0, 's']);
    assert.match(answered.header('outrider-degraded')!, /from=digits$/);
  });

  it('ends and begins with the file', () => {
    start(ALL_CANARY);
    assert.deepEqual(shares(2), { c: 2 });
    stack.update({});
    assert.deepEqual(shares(2), { s: 2 });
  });

  it('does not believe what an upstream outside the mesh says in our name', () => {
    start(ALL_CANARY);
    updateCanary({ tls: 'plaintext' });
    const lie = [['outrider-reason', 'overloaded']] as const;
    stack.answers((stream) => void stream.reply(Buffer.from('c'), 0, lie), 'c');
    assert.equal(stack.call().reason, undefined);
  });
});
