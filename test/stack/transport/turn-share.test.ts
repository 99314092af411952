/** One connection with very many frames: it has a share of a turn, and goes on in the next one. */
import assert from 'node:assert/strict';
import { data, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { type Application, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

/** Frames that one connection may bring in a turn (session.ts). */
const SHARE = 2048;

describe('a connection with many small frames', () => {
  let stack: UpstreamStack;
  let app: Application;
  let calls: readonly [PeerStream, PeerStream];

  beforeEach(() => {
    stack = new UpstreamStack(['a'], { routes: [aStreamRoute()] });
    app = stack.app(stack.out.listener);
    calls = [app.call({ body: null }), app.call({ body: null })];
    stack.run();
  });

  /** Frames of one byte by turns on both streams, so that none continues a run; byte `i` is the `i`-th of its stream. */
  const mixed = (frames: number): Buffer =>
    Buffer.concat(
      Array.from({ length: frames }, (_, i) => data(calls[i & 1]!.id, Buffer.of((i >>> 1) & 0xff))),
    );

  const ended = () => calls.map(({ id }) => data(id, Buffer.alloc(0), Flag.endStream));
  const received = (): number => stack.requestsAt('a').reduce((sum, { bytes }) => sum + bytes, 0);
  const expected = (frames: number) => Buffer.from(Array.from({ length: frames / 2 }, (_, i) => i & 0xff));

  it('has its share of each turn, and neither loses a byte nor their order', () => {
    const frames = 20_000;
    app.send(mixed(frames), ...ended());
    const perTurn: number[] = [];
    for (let before = 0; stack.turn(); before = received()) perTurn.push(received() - before);
    assert.ok(Math.max(...perTurn) <= 2 * SHARE, `${perTurn} frames in a turn`);
    for (const stream of stack.requestsAt('a')) {
      assert.ok(stream.body.equals(expected(frames)));
      assert.equal(stream.isEnded, true);
      stream.reply();
    }
    stack.run();
    assert.deepEqual(
      calls.map(({ status }) => status),
      [0, 0],
    );
  });

  it('leaves the turn to others meanwhile', () => {
    app.send(mixed(20_000));
    stack.turn();
    const other = stack.caller.call();
    while (stack.requestsAt('a').length < 3) assert.ok(stack.turn(), 'the call never came');
    assert.ok(received() < 4 * SHARE + MESSAGE.length, `${received()} frames came before it`);
    stack.run();
    for (const stream of stack.requestsAt('a')) stream.reply();
    stack.run();
    assert.equal(other.status, 0);
  });

  it('that is closed behind them has had all of them read', () => {
    const frames = 6000;
    const [first, second] = stack.requestsAt('a');
    const { peer } = first!;
    for (const stream of [first!, second!]) stack.settle(stream.begin());
    peer.send(mixed(frames));
    for (const stream of [first!, second!]) stream.trailers(0);
    peer.socket.end();
    stack.run();
    for (const call of calls) assert.deepEqual([call.status, call.body.equals(expected(frames))], [0, true]);
    stack.assertIdle();
  });
});
