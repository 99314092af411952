/** A call that must not be made twice falls back only while no endpoint can have worked on it. */
import assert from 'node:assert/strict';
import type { FallbackConfig, RouteConfig } from '../../../sidecar/config/model.js';
import { FAILURES } from '../../../sidecar/core/retry/primary-breaker.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const TO_SMALL: FallbackConfig = { kind: 'upstream', upstream: 'small' };

const says = (text: string) => (stream: PeerStream) => void stream.reply(Buffer.from(text));
const fails =
  (status = 14) =>
  (stream: PeerStream) =>
    void stream.fail(status);
/** The sidecar beside a model says that it is shutting down, with the call in it. */
const drains = (stream: PeerStream): void => void stream.fail(14, [['outrider-reason', 'drain-timeout']]);
const hangs = () => {};

describe('Scenario: a call falls back on a route that is not idempotent', () => {
  let stack: UpstreamStack;

  const big = (fallback: readonly FallbackConfig[], route: Partial<RouteConfig> = {}): UpstreamOptions => ({
    name: 'big',
    routes: [aRoute({ fallback, ...route })],
    ejection: { mode: 'observe' },
  });
  const start = (
    fallback: readonly FallbackConfig[] = [TO_SMALL],
    route: Partial<RouteConfig> = {},
    names = ['a', 'b'],
    options: UpstreamStackOptions = {},
  ): void => {
    stack = new UpstreamStack(names, big(fallback, route), options);
    stack.outbound(anUpstream(['s'], { name: 'small' }));
    bigSays(says('big'));
    smallSays(says('small'));
  };
  const bigSays = (answer: (stream: PeerStream) => void): void => stack.answers(answer);
  const smallSays = (answer: (stream: PeerStream) => void): void => stack.answers(answer, 's');
  const call = (): PeerStream => stack.call();
  const asked = (): number => stack.requests.length;
  const smallAsked = (): number => stack.requestsAt('s').length;
  const why = (stream: PeerStream): string | undefined => stream.header('outrider-degraded');
  const seen = (stream: PeerStream) => [stream.status, stream.body.toString(), why(stream)];
  const isFromBig = (stream: PeerStream): void => assert.deepEqual(seen(stream), [0, 'big', undefined]);
  const isFromSmall = (stream: PeerStream, reason: string): void =>
    assert.deepEqual(seen(stream), [0, 'small', `${reason}; from=small`]);
  const refuses = (stream: PeerStream): void =>
    void stream.fail(8, [
      ['outrider-reason', 'overloaded'],
      ['outrider-unprocessed', 'true'],
    ]);

  for (const [what, trouble, status] of [
    ['its connection is lost', (s) => void s.peer.socket.destroy(), 14],
    ['its attempt takes too long', hangs, 4],
    ['the model fails', fails(13), 13],
    ['the model says unavailable', fails(), 14],
    ['it resets the stream', (s) => void s.reset(2), 13],
    ['its replica drains in the middle of it', drains, 14],
  ] as [string, (stream: PeerStream) => void, number][])
    it(`not when ${what}: the model may have done it`, () => {
      start([TO_SMALL], { attemptTimeoutMs: 300 });
      bigSays(trouble);
      const stream = call();
      stack.advance(1_000);
      assert.deepEqual([stream.status, why(stream), asked(), smallAsked()], [status, undefined, 1, 0]);
      stack.assertIdle();
    });

  for (const [what, trouble, expected] of [
    ['there is no endpoint', hangs, 'no-endpoint'],
    ['no process listens', () => stack.names.map((name) => stack.kill(name)), 'connect-failed'],
    ['it refuses the stream', () => bigSays((s) => void s.reset(7)), 'upstream-reset'],
    ['it is full', () => bigSays(refuses), 'resource-exhausted'],
  ] as const)
    it(`when ${what}, as nothing was done`, () => {
      start();
      if (what === 'there is no endpoint') stack.update(big([TO_SMALL]), []);
      else trouble();
      const stream = call();
      stack.advance(1_000);
      isFromSmall(stream, expected);
    });

  it('when its connection is lost before all of its message was sent, as no server runs a part of one', () => {
    const large = Buffer.alloc(600_000, 'x');
    const lost = (): PeerStream => {
      const sent = stack.caller.call({ body: large });
      stack.run();
      stack.settle(stack.backend('a').peer.socket.break());
      stack.advance(1_000);
      return sent;
    };
    start([TO_SMALL], {}, ['a'], { peer: { replenishes: false } });
    stack.backend('s').peerOptions = {};
    bigSays(hangs);
    isFromSmall(lost(), 'connection-lost');
    stack.close();
    start([TO_SMALL], {}, ['a']);
    bigSays(hangs);
    const stream = lost();
    assert.deepEqual(
      [stream.status, stream.reason, smallAsked()],
      [14, 'connection-lost', 0],
      'it has all of it',
    );
  });

  it('but to no second upstream once the first has worked on it', () => {
    start([TO_SMALL, { kind: 'upstream', upstream: 'smaller' }]);
    stack.outbound(anUpstream(['t'], { name: 'smaller' }));
    stack.answers(says('smaller'), 't');
    bigSays(refuses);
    smallSays(refuses);
    assert.deepEqual(seen(call())[1], 'smaller', 'neither has done anything');
    smallSays(fails(13));
    const stream = call();
    assert.deepEqual([stream.status, stream.reason, stack.requestsAt('t').length], [8, 'overloaded', 1]);
    assert.equal(stream.trailer('outrider-unprocessed'), undefined, 'one may have done it');
  });

  it('and from there not back to a primary that rests', () => {
    start();
    bigSays(refuses);
    stack.load(FAILURES, 0);
    const before = asked();
    isFromSmall(call(), 'resource-exhausted');
    assert.equal(asked(), before, 'calls begin at the fallback');
    smallSays((each) => void each.fail(13, [['grpc-message', 'small is broken']]));
    const failed = call();
    assert.deepEqual([failed.status, failed.trailer('grpc-message')], [13, 'small is broken']);
    assert.equal(asked(), before, 'the fallback may have done it');
    smallSays(refuses);
    bigSays(says('big'));
    isFromBig(call());
    stack.assertIdle();
  });
});
