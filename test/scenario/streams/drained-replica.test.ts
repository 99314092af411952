/** A replica drains with streams open. They go on there for as long as it may take, and then, where they can, elsewhere. */
import assert from 'node:assert/strict';
import { CallDrain } from '../../../sidecar/app/call-drain.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { Mesh, type Replica } from '../../kit/scenario/mesh-in-memory.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute, aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const HOUR_MS = 3_600_000;
const token = (i: number): Buffer => grpcMessage(Buffer.from(`token ${i}, `));
const tokens = (from: number, to: number): Buffer =>
  Buffer.concat(Array.from({ length: to - from }, (_, i) => token(from + i)));

describe('Scenario: a replica drains under a stream of an hour', () => {
  let mesh: Mesh;
  let call: PeerStream;
  let serving: Replica;
  let stream: PeerStream;

  /** A stream that has had a message a minute for an hour. */
  const start = (resumable: boolean, more: Partial<RouteConfig> = {}): void => {
    const route = aStreamRoute({ idempotent: true, retry: aSafeRoute().retry!, resumable, ...more });
    mesh = new Mesh({ routes: [route] });
    for (const { model } of mesh.replicas) model.answer = () => {};
    call = mesh.stack.settle(mesh.call());
    serving = mesh.replicas.find(({ model }) => model.requests.length > 0)!;
    stream = serving.model.last;
    mesh.stack.settle(stream.begin());
    for (let i = 0; i < 60; i++) {
      mesh.stack.settle(stream.data(token(i)));
      mesh.stack.advance(HOUR_MS / 60);
    }
    assert.deepEqual([call.isOver, call.body.length], [false, tokens(0, 60).length]);
  };
  /** The replica drains as a sidecar does, at most for a minute. */
  const drain = (): void => {
    const { clock } = mesh.stack;
    const drained = serving.side.listener.drain();
    void new CallDrain([serving.side.listener], {
      ...{ service: 'digits', drainTimeoutMs: 60_000, timers: clock, clock },
    }).end(drained);
    mesh.stack.run();
  };
  const others = (): PeerStream[] =>
    mesh.replicas.flatMap(({ model }) => model.requests).filter((each) => each !== stream);

  it('and the stream stays there until it ends', () => {
    start(true);
    serving.drain();
    mesh.stack.settle(stream.data(token(60)));
    mesh.stack.advance(20_000);
    assert.equal(others().length, 0, 'a drain moves no stream that goes on');
    mesh.stack.settle(stream.trailers(0));
    assert.deepEqual([call.status, call.body.toString()], [0, tokens(0, 61).toString()]);
  });

  it('and its route gives streams less time than the drain has: another goes on, and it is no fault', () => {
    start(true, { drainTimeoutMs: 5_000 });
    drain();
    mesh.stack.advance(4_900);
    mesh.stack.settle(stream.data(token(60)));
    assert.equal(others().length, 0);
    mesh.stack.advance(500);
    const [next] = others();
    assert.equal(next?.header('outrider-resume-after'), '61');
    assert.notEqual(stream.resetCode, undefined, 'the model is told');
    mesh.stack.settle(
      next
        .begin([['outrider-resumed-from', '61']])
        .data(token(61))
        .trailers(0),
    );
    assert.deepEqual([call.status, call.body.toString()], [0, tokens(0, 62).toString()]);
    const faults = mesh.out.cluster.endpoints.map(({ outcomes }) => outcomes[Outcome.fault]);
    assert.deepEqual(faults, [0, 0, 0]);
  });

  it('and the drain is over: a stream that cannot go on elsewhere ends with a status that says why', () => {
    start(false);
    drain();
    mesh.stack.advance(59_000);
    assert.equal(call.isOver, false);
    mesh.stack.advance(1_000);
    assert.deepEqual([call.status, call.reason], [14, 'drain-timeout']);
    assert.equal(call.body.toString(), tokens(0, 60).toString());
    assert.equal(others().length, 0);
  });

  it('and a unary call beside it has all the time of the drain', () => {
    const times = { timeoutMs: 0, drainTimeoutMs: 5_000 };
    mesh = new Mesh({ routes: [aSafeRoute(times)] });
    for (const { model } of mesh.replicas) model.answer = () => {};
    call = mesh.stack.settle(mesh.call({}));
    serving = mesh.replicas.find(({ model }) => model.requests.length > 0)!;
    drain();
    mesh.stack.advance(50_000);
    mesh.stack.settle(serving.model.last.reply(Buffer.from('done')));
    assert.deepEqual([call.status, call.body.toString()], [0, 'done']);
  });

  describe('and the drain is over,', () => {
    const TIME_MS = 61_000;
    /** Two replicas that run a call each; the second call of the first one waits. */
    const startFull = (replicas: number): readonly [running: PeerStream, waiting: PeerStream] => {
      mesh = new Mesh({
        ...{ replicas, routes: [aRoute({ timeoutMs: 0 })], queue: { concurrency: 1 } },
        balance: 'round-robin',
      });
      for (const { model } of mesh.replicas) model.answer = () => {};
      const calls = Array.from({ length: replicas + 1 }, () => mesh.stack.settle(mesh.call()));
      serving = mesh.replicas.find(({ side }) => side.backend.queue.waiting === 1)!;
      const running = calls.findIndex((_, i) => mesh.replicas[i] === serving);
      return [calls[running]!, calls.at(-1)!];
    };

    it('a call that only waited goes to another replica, whatever its route repeats', () => {
      const [running, waiting] = startFull(2);
      drain();
      mesh.stack.advance(TIME_MS);
      assert.deepEqual(
        [running.status, running.reason, running.trailer('outrider-unprocessed')],
        [...[14, 'drain-timeout', undefined]],
      );
      assert.equal(waiting.isOver, false);
      const other = mesh.replicas.find((each) => each !== serving)!;
      for (let i = 0; i < other.model.requests.length; i++)
        mesh.stack.settle(other.model.requests[i]!.reply());
      assert.equal(waiting.status, 0);
    });

    it('and where there is no other replica, its caller learns that nothing of it ran', () => {
      const [, waiting] = startFull(1);
      drain();
      mesh.stack.advance(TIME_MS);
      assert.deepEqual(
        [waiting.status, waiting.reason, waiting.trailer('outrider-unprocessed')],
        [...[14, 'draining', 'true']],
      );
    });

    it('a caller that reads slowly gets what there is, then the status', () => {
      const stack = new UpstreamStack(['a'], { routes: [aStreamRoute()] });
      const app = stack.app(stack.out.listener, undefined, { settings: [[4, 10]], replenishes: false });
      const slow = stack.settle(app.call());
      stack.settle(stack.backend('a').last.begin().data(tokens(0, 60)));
      const { clock } = stack;
      void new CallDrain([stack.out.listener], {
        ...{ service: 'digits', drainTimeoutMs: 60_000, timers: clock, clock },
      }).end(stack.out.listener.drain());
      stack.advance(60_100);
      assert.deepEqual([slow.bytes, slow.isOver], [10, false]);
      stack.settle(slow.credit(100_000));
      assert.deepEqual([slow.status, slow.reason], [14, 'drain-timeout']);
      assert.equal(slow.body.toString(), tokens(0, 60).toString());
    });
  });

  it('and its time is over: another goes on', () => {
    start(true);
    serving.drain();
    mesh.stack.advance(20_000);
    serving.kill();
    const [next] = others();
    assert.equal(next?.header('outrider-resume-after'), '60', 'also through the sidecar beside the model');
    mesh.stack.settle(
      next
        .begin([['outrider-resumed-from', '60']])
        .data(token(60))
        .trailers(0),
    );
    assert.deepEqual([call.status, call.body.toString()], [0, tokens(0, 61).toString()]);
    mesh.stack.assertIdle();
  });

  it('and its time is over, for a stream that cannot go on: it ends with a status and a reason', () => {
    start(false);
    serving.drain();
    mesh.stack.advance(20_000);
    serving.kill();
    assert.deepEqual([call.status, call.reason, others().length], [14, 'connection-lost', 0]);
    mesh.stack.assertIdle();
  });

  it('an application cannot ask a model to leave out messages', () => {
    start(false);
    const own = mesh.stack.settle(mesh.call({ metadata: [['outrider-resume-after', '5']] }));
    const asked = others().map((each) => each.header('outrider-resume-after'));
    assert.deepEqual(asked, [undefined]);
    mesh.stack.settle(own.reset());
    mesh.stack.settle(call.reset());
  });
});
