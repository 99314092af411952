/**
 * The health check passes and calls fail: a gray failure. Calls are better evidence than questions. They eject, a check
 * that has passed all along does not end the ejection, and the probe decides. The other way round, one that fails
 * its check gets no calls, and when it passes again it is probed at once.
 */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { GRPC_HEALTH, isCheck, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';
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
    stack.answers((stream) => void (isCheck(stream) ? says(true)(stream) : stream.reply()), 'b', 'c');
    stack.answers((stream) => {
      if (isCheck(stream)) checks++;
      else calls++;
      if (isCheck(stream)) says(isWell)(stream);
      else if (works) stream.reply();
      else stream.fail(14);
    }, 'a');
    stack.advance(10);
  });

  const ejection = () => stack.endpoint('a').ejection;

  it('is ejected, and stays so however often its check passes', () => {
    stack.load(20, 50);
    works = false;
    stack.load(60, 50);
    assert.equal(ejection().state, EjectionState.ejected);
    const before = { checks, calls };
    stack.load(500, 50);
    assert.ok(checks >= before.checks + 4, 'it is asked meanwhile');
    assert.equal(calls, before.calls, 'and gets no call');
    stack.load(600, 50);
    assert.equal(ejection().state, EjectionState.ejected);
    assert.ok(ejection().ejections >= 2, 'the probe failed');
    assert.ok(calls <= before.calls + 3);
    works = true;
    stack.load(1300, 50);
    assert.equal(ejection().state, EjectionState.admitted);
  });

  it('need not wait for the end of the ejection when the check had failed and passes again', () => {
    stack.load(20, 50);
    works = false;
    stack.load(40, 50);
    assert.equal(ejection().state, EjectionState.ejected);
    isWell = false;
    stack.load(240, 50);
    assert.match(stack.endpoint('a').unhealthy, /NOT_SERVING/);
    [isWell, works] = [true, true];
    const backMs = stack.clock.now();
    while (ejection().state !== EjectionState.admitted && stack.clock.now() < backMs + 20_000)
      stack.load(1, 50);
    assert.ok(stack.clock.now() - backMs <= 5500, `${stack.clock.now() - backMs}`);
  });

  it('the other way round: gets no calls while its check fails', () => {
    stack.load(20, 50);
    isWell = false;
    // Calls show it to be well as long as there are some: no check is sent.
    stack.advance(12_000);
    const before = calls;
    stack.load(200, 50);
    assert.equal(calls, before);
    isWell = true;
    stack.load(120, 50);
    assert.ok(calls > before);
  });
});
