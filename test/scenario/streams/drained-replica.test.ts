/** A replica drains with streams open. They go on there for as long as it may take, and then, where they can, elsewhere. */
import assert from 'node:assert/strict';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { Mesh, type Replica } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

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
  const start = (resumable: boolean): void => {
    const route = aStreamRoute({ idempotent: true, retry: aSafeRoute().retry!, resumable });
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
