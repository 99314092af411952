/** What must hold of the engine whatever the peer does: it agrees with the onlooker, keeps little, and tells every owner once. */
import assert from 'node:assert/strict';
import type { ConnectionState } from '../../../../sidecar/http2/connection-state.js';
import type { Stream } from '../../../../sidecar/http2/stream.js';
import type { App, Owner } from './app.js';
import type { WireState } from './wire-state.js';

/** Windows and open streams, as the engine has them and as the wire says. */
export function checkSame(c: ConnectionState, wire: WireState): void {
  const whole = Math.max(65_535, c.local.connectionWindow);
  assert.ok(
    wire.theirWindow > whole - (c.local.connectionWindow >>> 1),
    'connection credit is returned on receipt',
  );
  assert.deepEqual(
    [c.recvWindow, c.sendWindow],
    [wire.theirWindow, wire.ourWindow],
    'windows of the connection',
  );
  assert.equal(c.table.size, wire.openCount, 'open streams');
  for (const view of wire.openViews()) {
    const stream = c.table.get(view.id);
    assert.ok(stream !== null, `stream ${view.id}`);
    assert.deepEqual(
      [stream.recvWindow, stream.sendWindow, stream.remoteEnded, stream.localEnded],
      [view.theirWindow, view.ourWindow, view.theyEnded, view.weEnded],
      `stream ${view.id}`,
    );
    // What they may not send is with its owner, or waits to be announced: nothing is lost.
    const { held } = stream.owner as Owner;
    if (!view.theyEnded)
      assert.equal(stream.recvWindow + stream.unannounced + held, stream.recvTarget, `credit of ${view.id}`);
  }
}

/** Bounds on what is kept. */
export function checkHeld({ connection, role }: App, isQuiet: boolean): void {
  const c = connection.state;
  const streams = c.table.all();
  if (isQuiet) assert.equal(c.control.length, 0, 'control frames are written at every flush');
  if (role === 'server') assert.ok(c.table.size <= c.local.maxConcurrentStreams, 'open streams');
  assert.ok(c.blockBytes <= 64 * 1024 + 16_384 && c.block.length <= 33, 'the header block');
  for (const list of [c.starved, c.unopened]) {
    assert.equal(new Set(list).size, list.length, 'a stream is parked twice');
    assert.ok(
      list.every((stream) => !stream.closed),
      'a closed stream is parked',
    );
  }
  for (const stream of streams) checkChunks(stream, c);
  const ready = [...queueOf(c.firstSmall, c.lastSmall), ...queueOf(c.firstReady, c.lastReady)];
  assert.equal(new Set(ready).size, ready.length, 'a stream is ready twice');
  assert.ok(
    ready.every((stream) => stream.isReady && !stream.closed),
    'a closed stream is ready',
  );
  assert.ok(ready.length <= connection.openStreams, 'ready streams');
}

/** A ready queue, which is the same from either end. */
function queueOf(first: Stream | null, last: Stream | null): Stream[] {
  const queue: Stream[] = [];
  let previous: Stream | null = null;
  for (let stream = first; stream !== null; stream = stream.nextReady) {
    assert.equal(stream.previousReady, previous);
    assert.ok(queue.push(stream) <= 100_000, 'a queue without an end');
    previous = stream;
  }
  assert.equal(last, previous);
  return queue;
}

function checkChunks(stream: Stream, c: ConnectionState): void {
  let bytes = 0;
  let pieces = 0;
  for (let chunk = stream.firstChunk; chunk !== null; chunk = chunk.next) {
    assert.ok(chunk.end > chunk.start);
    bytes += chunk.end - chunk.start;
    pieces++;
  }
  assert.equal(bytes, stream.pendingBytes, 'payload is counted');
  if (stream.isCompact) assert.ok(pieces <= bytes / 2048 + 12, `${pieces} pieces of ${bytes} bytes`);
  // What can be written is queued for it, what cannot is parked or waits for its own window.
  const waits = stream.parked !== 0 || (stream.pendingBytes > 0 && stream.sendWindow <= 0);
  const hasSomething =
    stream.headers !== null || stream.pendingBytes > 0 || stream.trailers !== null || stream.endAfterPending;
  if (hasSomething) assert.ok(stream.isReady || waits, `stream ${stream.id} is forgotten`);
  if (stream.parked === 3) assert.ok(c.sendWindow <= 0, 'starved though there is a window');
}

/** The connection is over: every owner has been told exactly once, nothing is left. */
export function checkAtEnd(app: App, wire: WireState, isExact: boolean): void {
  const c = app.connection.state;
  assert.deepEqual([app.connection.openStreams, c.pendingOpen, c.released], [0, 0, 0], 'streams left');
  assert.deepEqual([c.starved.length, c.unopened.length], [0, 0]);
  assert.deepEqual([c.firstSmall, c.lastSmall, c.firstReady, c.lastReady], [null, null, null, null]);
  assert.ok(app.fatal.length <= 1);
  for (const owner of app.owners) {
    const { stream, ends, endings, hasReset } = owner;
    assert.ok(stream.closed, 'a stream is left open');
    assert.ok(ends <= 1 && endings <= 1 && owner.gotHeaders <= 1, 'told twice');
    assert.equal(stream.firstChunk, null);
    if (app.role === 'client')
      assert.ok(ends + endings === 1 || (hasReset && ends + endings === 0), `told ${ends} + ${endings}`);
    else if (endings === 0) assert.ok(hasReset || stream.localEnded, 'not told');
    const view = wire.views.get(stream.id);
    const isWhole = isExact && app.fatal.length === 0 && view !== undefined && view.closed === 'ended';
    if (view?.weEnded && !view.isGuess) {
      assert.equal(
        view.ours.copy().digest('hex'),
        owner.sentDigest.digest('hex'),
        `payload sent on ${stream.id}`,
      );
    }
    if (isWhole) assert.deepEqual([owner.bytes, ends], [view.received, 1], `payload of stream ${stream.id}`);
  }
}
