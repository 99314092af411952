/**
 * An attempt timeout is for the beginning of an answer. A caller that reads a long answer slowly gets the whole of it within its own
 * deadline, and an attempt without an answer still ends at its limit, at the endpoint as well.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { ErrorCode, Flag, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute, aStreamRoute, type CallOptions, MESSAGE, PATH } from '../../kit/stack/stack.js';

const ANSWER = Buffer.alloc(1_700_000, 'z');
const LIMIT_MS = 300;
const STEP_MS = 20;
const BYTES_PER_MS = 170;
/** The first window of a stream, which its caller gives without reading. */
const WINDOW = 65_535;

describe('Scenario: a slow reader of a long answer, on a route with attempt_timeout', () => {
  let mesh: Mesh;

  /** A call of an application that gives its windows back by hand only. */
  const call = (options: CallOptions = {}, answer = ANSWER): PeerStream => {
    for (const { model } of mesh.replicas)
      model.answer = (stream) => mesh.stack.clock.after(5, () => stream.reply(answer));
    const app = mesh.stack.app(mesh.out.listener, undefined, { replenishes: false });
    app.send(windowUpdate(0, 1 << 24));
    const made = app.call(options);
    mesh.stack.run();
    return made;
  };
  const read = (stream: PeerStream, forMs: number): void => {
    for (let ms = 0; ms < forMs && !stream.isOver; ms += STEP_MS) {
      mesh.advance(STEP_MS);
      if (!stream.isOver) mesh.stack.settle(stream.credit(STEP_MS * BYTES_PER_MS));
    }
  };
  const assertWhole = (stream: PeerStream, answer = ANSWER): void => {
    assert.deepEqual([stream.status, stream.reason, stream.bytes], [Status.OK, undefined, answer.length]);
    mesh.advance(1_000);
    mesh.stack.assertIdle();
  };
  const modelCalls = (): PeerStream[] => mesh.replicas.flatMap(({ model }) => model.requests);

  beforeEach(() => {
    mesh = new Mesh({ routes: [aSafeRoute({ attemptTimeoutMs: LIMIT_MS, timeoutMs: 0 })] });
  });

  it('gets the whole answer within a deadline that is far away', () => {
    const stream = call({ timeout: '60S' });
    read(stream, 20_000);
    assertWhole(stream);
  });

  it('gets the whole answer without a deadline', () => {
    const stream = call();
    read(stream, 20_000);
    assertWhole(stream);
  });

  it('gets the whole answer where its request came in parts', () => {
    const stream = call({ timeout: '60S', body: null });
    mesh.advance(STEP_MS);
    mesh.stack.settle(stream.data(MESSAGE, Flag.endStream));
    read(stream, 20_000);
    assertWhole(stream);
  });

  it('gets the whole answer where it reads nothing for a while', () => {
    const stream = call({ timeout: '120S' });
    mesh.advance(50_000);
    read(stream, 20_000);
    assertWhole(stream);
  });

  it('is ended at its own deadline, and not as a call that was cancelled', () => {
    const stream = call({ timeout: '1500m' });
    read(stream, 1_400);
    assert.equal(stream.isOver, false);
    const byThen = stream.bytes;
    assert.ok(byThen > 1_300 * BYTES_PER_MS, `${byThen} bytes`);
    read(stream, 200);
    // The application's own client has DEADLINE_EXCEEDED by its own timer; the reset only frees what waits.
    assert.equal(stream.resetCode ?? stream.status, ErrorCode.cancel);
    assert.equal(mesh.stack.context.stats.calls[0]!.byStatus[Status.DEADLINE_EXCEEDED], 1);
    mesh.advance(1_000);
    mesh.stack.assertIdle();
  });

  it('costs no endpoint its name', () => {
    read(call({ timeout: '60S' }), 20_000);
    for (let i = 0; i < 3; i++) assert.equal(mesh.endpoint(i).outcomes[1], 0);
  });

  it('and an attempt whose answer has not begun ends at its limit, also at the model', () => {
    for (const { model } of mesh.replicas) model.answer = () => {};
    const stream = mesh.call({ timeout: '60S' });
    mesh.advance(LIMIT_MS - STEP_MS);
    const waiting = modelCalls().find((each) => each.header(':path') === PATH)!;
    assert.equal(waiting.header('outrider-deadline'), undefined);
    assert.equal(waiting.resetCode, undefined);
    mesh.advance(2 * STEP_MS);
    assert.equal(waiting.resetCode, ErrorCode.cancel);
    mesh.advance(2_000);
    assert.deepEqual([stream.status, stream.reason], [Status.DEADLINE_EXCEEDED, 'attempt-timeout']);
  });

  it('and a stream is told no limit for its life', () => {
    mesh = new Mesh({ routes: [aStreamRoute({ attemptTimeoutMs: LIMIT_MS, idempotent: true })] });
    const stream = call({ timeout: '60S' });
    read(stream, 20_000);
    assertWhole(stream);
    assert.equal(stream.bytes > WINDOW, true);
  });
});
