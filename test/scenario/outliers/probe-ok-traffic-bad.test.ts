/**
 * The health check passes and calls fail: a gray failure. Calls are better evidence than questions. They eject, a check
 * that has passed all along does not end the ejection, and the probe decides. The other way round, one that fails
 * its check gets no calls, and when it passes again it is probed at once.
 */
import assert from 'node:assert/strict';
import { healthAnswer } from '../../../sidecar/codec/health.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { CHECK, GRPC_HEALTH, UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute } from '../../kit/stack/stack.js';

describe('Scenario: probe ok, traffic bad', () => {
  let stack: UpstreamStack;
  let isWell: boolean;
  let works: boolean;
  let checks: number;
  let calls: number;

  beforeEach(() => {
    [isWell, works, checks, calls] = [true, true, 0, 0];
    stack = new UpstreamStack(['a', 'b', 'c'], { health: GRPC_HEALTH, routes: [aSafeRoute()] });
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
    stack.advance(10);
  });
  afterEach(() => stack.close());

  const ejection = () => stack.endpoint('a').ejection;

  it('is ejected, and stays so however often its check passes', () => {
    stack.load(1000);
    works = false;
    stack.load(3000);
    assert.equal(ejection().state, EjectionState.ejected);
    const before = { checks, calls };
    stack.load(25_000);
    assert.ok(checks >= before.checks + 4, 'it is asked meanwhile');
    assert.equal(calls, before.calls, 'and gets no call');
    stack.load(30_000);
    assert.equal(ejection().state, EjectionState.ejected);
    assert.ok(ejection().ejections >= 2, 'the probe failed');
    assert.ok(calls <= before.calls + 3);
    works = true;
    stack.load(65_000);
    assert.equal(ejection().state, EjectionState.admitted);
  });

  it('need not wait for the end of the ejection when the check had failed and passes again', () => {
    stack.load(1000);
    works = false;
    stack.load(2000);
    assert.equal(ejection().state, EjectionState.ejected);
    isWell = false;
    stack.load(12_000);
    assert.match(stack.endpoint('a').unhealthy, /NOT_SERVING/);
    [isWell, works] = [true, true];
    const backMs = stack.clock.now();
    while (ejection().state !== EjectionState.admitted && stack.clock.now() < backMs + 20_000) stack.load(50);
    assert.ok(stack.clock.now() - backMs <= 5500, `${stack.clock.now() - backMs}`);
  });

  it('the other way round: gets no calls while its check fails', () => {
    stack.load(1000);
    isWell = false;
    // Calls show it to be well as long as there are some: no check is sent.
    stack.advance(12_000);
    const before = calls;
    stack.load(10_000);
    assert.equal(calls, before);
    isWell = true;
    stack.load(6000);
    assert.ok(calls > before);
  });
});
