/** What a session gives a TLS socket to write, on real sockets: a large part alone, which is then encrypted without being copied. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import tls from 'node:tls';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { StableList } from '../../../sidecar/http2/hpack/header-list.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import type { Stream, StreamOwner } from '../../../sidecar/http2/stream.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { Session, type SessionHandler } from '../../../sidecar/transport/session.js';
import { FrameType, frame, PREFACE, Setting, settings, windowUpdate } from '../../kit/http2/h2-frames.js';
import { openRequest } from '../../kit/http2/raw-client.js';
import { RawPeer } from '../../kit/http2/raw-peer.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';
import { Stack } from '../../kit/stack/stack.js';

const WINDOW = 8 << 20;
const FRAME_BYTES = 16 * 1024;
const FRAMES = 6;
const PIECE_BYTES = FRAMES * FRAME_BYTES;
const HEAD = 9;
const IDLE: StreamOwner = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };
const OK = StableList.of([makeField(':status', '200')]);

describe('A session with TLS', () => {
  let options: tls.TlsOptions;
  before(async () => {
    const { certChainPem: cert, keyPem: key } = await (await TestAuthority.root()).leaf({
      service: 'digits',
    });
    options = { cert, key };
  });

  /** A session with one stream, whose peer has wide windows; `joined`: sizes of what the socket got to write in several parts. */
  async function answering() {
    const server = tls.createServer(options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    afterTest(() => void server.close());
    const secured = once(server, 'secureConnection');
    const { port } = server.address() as net.AddressInfo;
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    afterTest(() => void client.destroy());
    const [socket] = (await secured) as [tls.TLSSocket];
    afterTest(() => void socket.destroy());
    const streams: Stream[] = [];
    const handler: SessionHandler = {
      onStream(_session, stream) {
        stream.owner = IDLE;
        streams.push(stream);
      },
      ...{ onAlive() {}, onReadiness() {}, onGoaway() {}, onRoom() {}, onDown() {} },
    };
    const joined: number[] = [];
    const inherited = socket._writev!;
    socket._writev = (chunks, done) => {
      joined.push(...chunks.map(({ chunk }) => (chunk as Buffer).length));
      inherited.call(socket, chunks, done);
    };
    const flushes = new FlushScheduler((fn) => void setImmediate(fn), systemTimers);
    const session = new Session(socket, 'server', DEFAULT_LOCAL_SETTINGS, handler, {
      ...new Stack().context,
      flushes,
    });
    const peer = new RawPeer(client, { role: 'client', replenish: false });
    peer.send(PREFACE, settings([[Setting.initialWindowSize, WINDOW]]), windowUpdate(0, WINDOW));
    peer.send(openRequest(1, '/a.B/C'));
    await until('the call is in', () => streams.length === 1);
    session.connection.sendHeaders(streams[0]!, OK, [], false);
    return { session, stream: streams[0]!, peer, client, joined };
  }

  /** Octets of payload, and whether all of them are as they were sent. */
  function received(peer: RawPeer): readonly [number, boolean] {
    const payloads = peer.frames.filter(({ type }) => type === FrameType.data).map(({ payload }) => payload);
    const all = Buffer.concat(payloads);
    let isRight = true;
    for (let at = 0, i = 1; at < all.length; at += PIECE_BYTES, i++)
      isRight &&= all.subarray(at, at + PIECE_BYTES).every((octet) => octet === i);
    return [all.length, isRight];
  }

  /** Passes on a read of six frames, filled with `value`. */
  function pass(session: Session, stream: Stream, value: number): void {
    const parts = Array.from({ length: FRAMES }, () =>
      frame(FrameType.data, 0, 77, Buffer.alloc(FRAME_BYTES, value)),
    );
    const read = Buffer.concat(parts);
    for (let at = HEAD; at < read.length; at += HEAD + FRAME_BYTES)
      session.connection.passData(stream, read, at, at + FRAME_BYTES, false);
  }

  it('writes each large part alone, after what goes before it', async () => {
    const { session, stream, peer, joined } = await answering();
    const pieces = 12;
    for (let i = 1; i <= pieces; i++) pass(session, stream, i);
    await until('all has come', () => received(peer)[0] === pieces * PIECE_BYTES);
    assert.deepEqual(received(peer), [pieces * PIECE_BYTES, true]);
    assert.deepEqual(
      joined.filter((length) => length >= PIECE_BYTES),
      [],
    );
    session.destroy('over');
  });

  it('loses nothing to a peer that does not read for a while, and writes no more than a little meanwhile', async () => {
    const { session, stream, peer, client } = await answering();
    client.pause();
    const pieces = 60;
    for (let i = 1; i <= pieces; i++) {
      pass(session, stream, i);
      await new Promise(setImmediate);
    }
    assert.ok(session.socket.writableLength <= 256 * 1024 + PIECE_BYTES, `${session.socket.writableLength}`);
    client.resume();
    await until('all has come', () => received(peer)[0] === pieces * PIECE_BYTES);
    assert.deepEqual(received(peer), [pieces * PIECE_BYTES, true]);
    await until(
      'nothing is left',
      () => session.socket.writableLength === 0 && !session.connection.hasOutput,
    );
    session.destroy('over');
  });
});
