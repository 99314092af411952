/** What is shown, and done, before the first check of an endpoint has passed: a model that starts is not one that failed. */
import assert from 'node:assert/strict';
import { endpointState } from '../../../sidecar/admin/endpoint-state.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { GRPC_HEALTH, isCheck, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';

describe('Scenario: an endpoint whose check has not passed yet', () => {
  let stack: UpstreamStack;
  let answersCheck: (stream: PeerStream) => void;
  let checks: number;

  const start = (answer: (stream: PeerStream) => void): void => {
    [answersCheck, checks] = [answer, 0];
    stack = new UpstreamStack(['a'], { health: GRPC_HEALTH });
    stack.answers((stream) => {
      if (!isCheck(stream)) return void stream.reply();
      checks++;
      return answersCheck(stream);
    });
    stack.advance(10);
  };
  const shown = (): [string, string] => [endpointState(stack.report('a')), stack.report('a').why];

  it('gets calls, and is shown as not checked', () => {
    start(() => {});
    assert.deepEqual(shown(), ['eligible', 'gets calls although it is not checked yet']);
    assert.equal(stack.call().status, 0);
  });

  it('is starting while its check fails, and called within a second of the check that passes', () => {
    start(says(false));
    stack.advance(3_000);
    const [state, why] = shown();
    assert.equal(state, 'starting');
    assert.match(why, /says NOT_SERVING; gets calls anyway/);
    answersCheck = says(true);
    stack.advance(1_000);
    assert.equal(shown()[0], 'eligible');
  });

  it('is unhealthy when it has passed before', () => {
    start(says(true));
    stack.advance(2_000);
    answersCheck = says(false);
    stack.advance(12_000);
    assert.equal(shown()[0], 'unhealthy');
  });

  it('is unhealthy, not starting, when it answers anything but that it does not serve', () => {
    start((stream) => void stream.reset());
    stack.advance(3_000);
    assert.equal(shown()[0], 'unhealthy');
  });

  it('is asked at its interval when it does not pass for a minute', () => {
    start(says(false));
    stack.advance(70_000);
    const before = checks;
    stack.advance(60_000);
    assert.ok(checks - before <= 14, `${checks - before} checks in a minute at 5 s`);
  });
});
