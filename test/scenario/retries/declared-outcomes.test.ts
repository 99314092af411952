/** A route says what the statuses of its service count as: retries, ejection and metrics follow it. */
import assert from 'node:assert/strict';
import { Outcome, type OutcomeOverrides } from '../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { DETECTORS, DetectorPool } from '../../kit/scenario/detector-pool.js';
import { DiscoveredUpstream, endpoint as endpointOf } from '../../kit/scenario/discovered-upstream.js';
import { anUpstream, aRoute, aSafeRoute, Stack } from '../../kit/stack/stack.js';

const { ABORTED, INTERNAL, NOT_FOUND, OK, RESOURCE_EXHAUSTED, UNAVAILABLE } = Status;

const saying = (outcomes: OutcomeOverrides) => [aRoute({ outcomes })];

describe('Scenario: what statuses count as is declared', () => {
  let pool: DetectorPool;
  const open = (outcomes?: OutcomeOverrides) => {
    pool = new DetectorPool(['a', 'b', 'c'], outcomes === undefined ? {} : { routes: saying(outcomes) });
  };
  const counted = (name: string, outcome: Outcome) => pool.endpoint(name).outcomes[outcome]!;
  afterEach(() => pool.close());

  it('as a fault: a replica that says for ever that it is full is ejected, and is not by default', () => {
    for (const [outcomes, states] of [
      [undefined, ['eligible', 'eligible', 'eligible']],
      [{ fault: [RESOURCE_EXHAUSTED] }, ['eligible', 'ejected', 'eligible']],
    ] as const) {
      pool?.close();
      open(outcomes);
      pool.fails('b', 0, RESOURCE_EXHAUSTED);
      pool.load(60);
      assert.deepEqual(pool.states, states);
    }
    assert.match(pool.report('b').why ?? '', /5 faults in a row.*status 8/);
  });

  it('as neutral: a server that says INTERNAL of wrong input stays, and is ejected by default', () => {
    for (const [outcomes, state] of [
      [undefined, 'ejected'],
      [{ neutral: [INTERNAL] }, 'eligible'],
    ] as const) {
      pool?.close();
      open(outcomes);
      pool.fails('b', 0, INTERNAL);
      pool.load(60);
      assert.equal(pool.report('b').state, state);
    }
    assert.equal(counted('b', Outcome.fault), 0);
    assert.ok(counted('b', Outcome.neutral) >= 10);
    assert.ok(pool.endpoint('b').latency.peakMs < 1, 'and is not recorded as slow');
  });

  it('as overload: no ejection, and less weight', () => {
    open({ overload: [UNAVAILABLE] });
    pool.fails('b', 2, UNAVAILABLE);
    pool.load(300);
    assert.equal(pool.report('b').state, 'eligible');
    assert.equal(counted('b', Outcome.fault), 0);
    assert.ok(pool.endpoint('b').overloadFactor > 0.3, `${pool.endpoint('b').overloadFactor}`);
  });

  it('as a success: it ends a row of faults, and the detectors count it as an answer', () => {
    open({ success: [NOT_FOUND] });
    let calls = 0;
    pool.backend('b').answer = (stream) => stream.fail(++calls % 5 === 0 ? NOT_FOUND : UNAVAILABLE);
    pool.load(13);
    assert.equal(pool.endpoint('b').ejection.consecutiveFaults, 4);
    pool.load(3);
    assert.equal(pool.endpoint('b').ejection.consecutiveFaults, 0);
    assert.equal(counted('b', Outcome.success), 1);
    assert.equal(pool.endpoint('b').ejection.outcomes!.successes, 1);
  });

  it('as a success: it ends a probe', () => {
    open({ success: [NOT_FOUND] });
    pool.fails('b');
    pool.load(60);
    assert.equal(pool.report('b').state, 'ejected');
    pool.fails('b', 0, NOT_FOUND);
    pool.advance(30_000);
    pool.load(3);
    assert.equal(pool.report('b').state, 'eligible');
  });

  it('as a success: its output is not inspected', () => {
    const invalidOutput = { mode: 'enforce', above: 0.5, minSamples: 1, sampleRatio: 1 } as const;
    pool = new DetectorPool(['a'], {
      routes: saying({ success: [NOT_FOUND] }),
      ejection: { detectors: { ...DETECTORS, invalidOutput } },
    });
    pool.backend('a').answer = (stream) => stream.reply(Buffer.from('partial'), NOT_FOUND);
    pool.load(20);
    const { sweep } = pool.out.cluster;
    assert.equal(sweep!.inspector!.counts.unreadable, 0);
    pool.works('a');
    pool.load(20);
    assert.ok(sweep!.inspector!.counts.unreadable > 0, 'as it does in an answer');
  });

  it('changes with the file, for what happens from then on', () => {
    open();
    pool.fails('b', 0, RESOURCE_EXHAUSTED);
    pool.load(60);
    assert.equal(pool.report('b').state, 'eligible');
    const config = { ejection: { detectors: DETECTORS }, routes: saying({ fault: [RESOURCE_EXHAUSTED] }) };
    pool.out.outbound.update(anUpstream(pool.names, config));
    pool.load(60);
    assert.equal(pool.report('b').state, 'ejected');
  });

  it('does not change what a sidecar or HTTP says', () => {
    open({ neutral: [UNAVAILABLE] });
    pool.backend('b').answer = (stream) => stream.fail(UNAVAILABLE, [['outrider-reason', 'connect-failed']]);
    pool.load(60);
    assert.equal(pool.report('b').state, 'ejected');
    pool.close();
    open({ neutral: [UNAVAILABLE] });
    pool.backend('b').answer = (stream) => stream.headers([[':status', '503']], 1);
    pool.load(60);
    assert.equal(pool.report('b').state, 'ejected');
  });
});

describe('Scenario: declared outcomes, and what follows a failed attempt', () => {
  let stack: Stack;
  beforeEach(() => {
    stack = new Stack();
  });
  afterEach(() => {
    stack.advance(1_000);
    stack.close();
  });

  /** One call to `a`, which fails with `status`; the name of the endpoint that answered, or the status. */
  const fallen = (outcomes: OutcomeOverrides | undefined, status: Status) => {
    const fallback = [{ kind: 'upstream', upstream: 'lite' }] as const;
    const route = { fallback, ...(outcomes === undefined ? {} : { outcomes }) };
    stack.outbound({ ...anUpstream(['lite']), name: 'lite' });
    stack.backend('lite').answer = (stream) => stream.reply(Buffer.from('lite'));
    const out = stack.outbound(anUpstream(['a'], { routes: [aRoute(route)] }));
    stack.backend('a').answer = (stream) => stream.fail(status);
    const call = stack.app(out.listener).call();
    stack.run();
    return call.status === OK ? call.body.toString() : call.status;
  };

  for (const [what, outcomes, status, answer] of [
    ['a neutral status is the answer', { neutral: [INTERNAL] }, INTERNAL, INTERNAL],
    ['by default it would fall back', undefined, INTERNAL, 'lite'],
    ['a fault falls back', { fault: [NOT_FOUND] }, NOT_FOUND, 'lite'],
    ['by default it would be the answer', undefined, NOT_FOUND, NOT_FOUND],
    ['a success is the answer', { success: [NOT_FOUND] }, NOT_FOUND, NOT_FOUND],
    ['overload falls back', { overload: [NOT_FOUND] }, NOT_FOUND, 'lite'],
  ] as const) {
    it(`fallback: ${what}`, () => assert.equal(fallen(outcomes, status), answer));
  }

  it('hedging: of two copies a neutral status answers, and a fault leaves it to the other one', () => {
    for (const [outcomes, answer] of [
      [{ success: [NOT_FOUND] }, NOT_FOUND],
      [{ fault: [NOT_FOUND] }, OK],
    ] as const) {
      const hedge = { percentile: 0.95, minDelayMs: 5, maxRatio: 0.5 };
      const routes = [aSafeRoute({ hedge, outcomes })];
      const out = stack.outbound(anUpstream(['a', 'b'], { routes }));
      for (const name of ['a', 'b']) stack.backend(name).answer = (stream) => stream.reply(Buffer.from(name));
      const app = stack.app(out.listener);
      for (let i = 0; i < 200; i++) {
        app.call();
        stack.advance(1);
      }
      for (const name of ['a', 'b']) stack.backend(name).answer = () => {};
      const before = ['a', 'b'].map((name) => stack.backend(name).requests.length);
      const call = app.call();
      stack.advance(50);
      const held = ['a', 'b'].map((name, i) => stack.backend(name).requests[before[i]!]!);
      assert.ok(
        held.every((each) => each !== undefined),
        'both have a copy',
      );
      stack.settle(held[0]!.fail(NOT_FOUND));
      if (answer === OK) {
        assert.ok(!call.isOver);
        stack.settle(held[1]!.reply(Buffer.from('b')));
      }
      assert.equal(call.status, answer);
    }
  });

  it('a last good answer is an OK, whatever else counts as a success', () => {
    const fallback = [{ kind: 'last-good', maxAgeMs: 60_000, maxBytes: 1 << 20 }] as const;
    const routes = [aRoute({ idempotent: true, fallback, outcomes: { success: [NOT_FOUND] } })];
    const out = stack.outbound(anUpstream(['a'], { routes }));
    const app = stack.app(out.listener);
    const ask = () => {
      const call = stack.settle(app.call());
      return call.status === OK ? call.body.toString() : call.status;
    };
    stack.backend('a').answer = (stream) => stream.reply(Buffer.from('half'), NOT_FOUND);
    assert.equal(ask(), NOT_FOUND);
    stack.backend('a').answer = (stream) => stream.fail(UNAVAILABLE);
    assert.equal(ask(), UNAVAILABLE);
  });
});

describe('Scenario: declared outcomes, and rules of the registry', () => {
  it('what the file counts as a success is not tried again, whatever the rule says', () => {
    for (const [outcomes, status] of [
      [undefined, OK],
      [{ success: [ABORTED] }, ABORTED],
    ] as const) {
      const mesh = new DiscoveredUpstream({ routes: [aRoute(outcomes === undefined ? {} : { outcomes })] });
      const retry = { attempts: 2, on: [UNAVAILABLE, ABORTED] };
      mesh.apply({ '': { endpoints: ['a', 'b'].map(endpointOf) } }, [
        { split: [{ weight: 1, cluster: '' }], retry },
      ]);
      mesh.stack.backend('a').answer = (stream) => stream.fail(ABORTED);
      const statuses = [0, 1].map(() => {
        const call = mesh.call();
        mesh.stack.advance(300);
        return call.status;
      });
      assert.ok(statuses.includes(status) && statuses.every((each) => each === status || each === OK));
      mesh.close();
    }
  });
});
