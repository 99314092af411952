/** A route says what the statuses of its service count as: retries, ejection and metrics follow it. */
import assert from 'node:assert/strict';
import { Outcome, type OutcomeOverrides } from '../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../sidecar/core/outcome/status.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DETECTORS, DetectorPool } from '../../kit/scenario/detector-pool.js';
import { DiscoveredUpstream, endpoint as endpointOf } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aRoute, aSafeRoute } from '../../kit/stack/stack.js';

const { ABORTED, INTERNAL, NOT_FOUND, OK, RESOURCE_EXHAUSTED, UNAVAILABLE } = Status;

const saying = (outcomes: OutcomeOverrides) => [aRoute({ outcomes })];

describe('Scenario: what statuses count as is declared', () => {
  let pool: DetectorPool;
  const open = (outcomes?: OutcomeOverrides) => {
    pool = new DetectorPool(['a', 'b', 'c'], outcomes === undefined ? {} : { routes: saying(outcomes) });
  };
  /** The state of `b` after so many calls. */
  const stateAfter = (calls: number): string => {
    pool.load(calls);
    return pool.report('b').state;
  };
  const counted = (name: string, outcome: Outcome) => pool.endpoint(name).outcomes[outcome]!;

  it('as a fault: a replica that says for ever that it is full is ejected, and is not by default', () => {
    for (const [outcomes, states] of [
      [undefined, ['eligible', 'eligible', 'eligible']],
      [{ fault: [RESOURCE_EXHAUSTED] }, ['eligible', 'ejected', 'eligible']],
    ] as const) {
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
      open(outcomes);
      pool.fails('b', 0, INTERNAL);
      assert.equal(stateAfter(60), state);
    }
    assert.equal(counted('b', Outcome.fault), 0);
    assert.ok(counted('b', Outcome.neutral) >= 10);
    assert.ok(pool.endpoint('b').latency.peakMs < 1, 'and is not recorded as slow');
  });

  it('as overload: no ejection, and less weight', () => {
    open({ overload: [UNAVAILABLE] });
    pool.fails('b', 2, UNAVAILABLE);
    assert.equal(stateAfter(300), 'eligible');
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
    assert.equal(stateAfter(60), 'ejected');
    pool.fails('b', 0, NOT_FOUND);
    pool.advance(30_000);
    assert.equal(stateAfter(3), 'eligible');
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
    assert.equal(stateAfter(60), 'eligible');
    pool.update({ ejection: { detectors: DETECTORS }, routes: saying({ fault: [RESOURCE_EXHAUSTED] }) });
    assert.equal(stateAfter(60), 'ejected');
  });

  it('does not change what a sidecar or HTTP says', () => {
    open({ neutral: [UNAVAILABLE] });
    pool.answers((stream) => void stream.fail(UNAVAILABLE, [['outrider-reason', 'connect-failed']]), 'b');
    assert.equal(stateAfter(60), 'ejected');
    open({ neutral: [UNAVAILABLE] });
    pool.answers((stream) => void stream.headers([[':status', '503']], 1), 'b');
    assert.equal(stateAfter(60), 'ejected');
  });
});

describe('Scenario: declared outcomes, and what follows a failed attempt', () => {
  const answerTo = (call: PeerStream) => (call.status === OK ? call.body.toString() : call.status);

  /** One call to `a`, which fails with `status`; the name of the endpoint that answered, or the status. */
  const fallen = (outcomes: OutcomeOverrides | undefined, status: Status) => {
    const fallback = [{ kind: 'upstream', upstream: 'lite' }] as const;
    const route = { idempotent: true, fallback, ...(outcomes === undefined ? {} : { outcomes }) };
    const stack = new UpstreamStack(['a'], { routes: [aRoute(route)] });
    stack.outbound(anUpstream(['lite'], { name: 'lite' }));
    stack.works('lite');
    stack.answers((stream) => void stream.fail(status));
    return answerTo(stack.call());
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
      const stack = new UpstreamStack(['a', 'b'], { routes: [aSafeRoute({ hedge, outcomes })] });
      stack.works();
      stack.load(200, 1);
      stack.answers(() => {});
      const before = stack.names.map((name) => stack.backend(name).requests.length);
      const call = stack.call();
      stack.advance(50);
      const held = stack.names.map((name, i) => stack.backend(name).requests[before[i]!]!);
      assert.equal(held.includes(undefined as never), false, 'both have a copy');
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
    const stack = new UpstreamStack(['a'], { routes });
    stack.answers((stream) => void stream.reply(Buffer.from('half'), NOT_FOUND));
    assert.equal(answerTo(stack.call()), NOT_FOUND);
    stack.answers((stream) => void stream.fail(UNAVAILABLE));
    assert.equal(answerTo(stack.call()), UNAVAILABLE);
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
      const route = { split: [{ weight: 1, cluster: '' }], retry };
      mesh.apply({ '': { endpoints: ['a', 'b'].map(endpointOf) } }, [route]);
      mesh.stack.backend('a').answer = (stream) => stream.fail(ABORTED);
      const statuses = [0, 1].map(() => {
        const call = mesh.call();
        mesh.stack.advance(300);
        return call.status;
      });
      assert.ok(statuses.includes(status) && statuses.every((each) => each === status || each === OK));
    }
  });
});
