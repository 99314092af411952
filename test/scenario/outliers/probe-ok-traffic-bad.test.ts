/**
 * The health check passes and calls fail: a gray failure. Calls are better evidence than questions. They eject, a check
 * that has passed all along does not end the ejection, and the trial call decides. The other way round, one that fails
 * its check gets no calls, and when it passes again its trial comes at once.
 */
import assert from 'node:assert/strict';
import { healthAnswer } from '../../../sidecar/codec/health.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { type App, anUpstream, aSafeRoute, type OutboundStack, Stack } from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';

describe('Scenario: probe ok, traffic bad', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: App;
  let isWell: boolean;
  let works: boolean;
  let checks: number;
  let calls: number;

  beforeEach(() => {
    stack = new Stack();
    [isWell, works, checks, calls] = [true, true, 0, 0];
    for (const name of ['a', 'b', 'c']) {
      stack.backend(name).answer = (stream) => {
        const isCheck = stream.header(':path') === CHECK;
        if (name !== 'a') return void (isCheck ? stream.reply(healthAnswer(true)) : stream.reply());
        if (isCheck) checks++;
        else calls++;
        if (isCheck) stream.reply(healthAnswer(isWell));
        else if (works) stream.reply();
        else stream.fail(14);
      };
    }
    const health = {
      kind: 'grpc',
      service: '',
      intervalMs: 5000,
      timeoutMs: 1000,
      unhealthyThreshold: 2,
      healthyThreshold: 1,
    } as const;
    out = stack.outbound(anUpstream(['a', 'b', 'c'], { health, routes: [aSafeRoute()] }));
    app = stack.app(out.listener);
    stack.advance(10);
  });
  afterEach(() => stack.close());

  const load = (forMs: number): void => {
    for (let ms = 0; ms < forMs; ms += 50) {
      app.call();
      stack.advance(50);
    }
  };
  const ejection = () => out.upstream.endpoints[0]!.ejection;

  it('is ejected, and stays so however often its check passes', () => {
    load(1000);
    works = false;
    load(3000);
    assert.equal(ejection().state, EjectionState.ejected);
    const before = { checks, calls };
    load(25_000);
    assert.ok(checks >= before.checks + 4, 'it is asked meanwhile');
    assert.equal(calls, before.calls, 'and gets no call');
    load(30_000);
    assert.equal(ejection().state, EjectionState.ejected);
    assert.ok(ejection().ejections >= 2, 'the trial failed');
    assert.ok(calls <= before.calls + 3);
    works = true;
    load(65_000);
    assert.equal(ejection().state, EjectionState.admitted);
  });

  it('need not wait for the end of the ejection when the check had failed and passes again', () => {
    load(1000);
    works = false;
    load(2000);
    assert.equal(ejection().state, EjectionState.ejected);
    isWell = false;
    load(12_000);
    assert.match(out.upstream.endpoints[0]!.unhealthy, /NOT_SERVING/);
    [isWell, works] = [true, true];
    const backMs = stack.clock.now();
    while (ejection().state !== EjectionState.admitted && stack.clock.now() < backMs + 20_000) load(50);
    assert.ok(stack.clock.now() - backMs <= 5500, `${stack.clock.now() - backMs}`);
  });

  it('the other way round: gets no calls while its check fails', () => {
    load(1000);
    isWell = false;
    // Calls show it to be well as long as there are some: nobody asks.
    stack.advance(12_000);
    const before = calls;
    load(10_000);
    assert.equal(calls, before);
    isWell = true;
    load(6000);
    assert.ok(calls > before);
  });
});
