/** A TLS listener on real sockets: how many connections it takes, and what becomes of handshakes under way. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Address } from '../../../sidecar/config/model.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import type { Stream, StreamOwner } from '../../../sidecar/http2/stream.js';
import { serverTlsOptions } from '../../../sidecar/identity/tls/tls-options.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { Listener } from '../../../sidecar/transport/listener.js';
import { EXPIRED_CALLS_MS, EXPIRY_LEEWAY_MS } from '../../../sidecar/transport/session-guard.js';
import { data, ErrorCode, FrameType, PREFACE, rstStream, settings } from '../../kit/http2/h2-frames.js';
import { openRequest } from '../../kit/http2/raw-client.js';
import { RawPeer } from '../../kit/http2/raw-peer.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { until } from '../../kit/stack/sidecar-in-memory.js';
import { Stack } from '../../kit/stack/stack.js';

/** The head of a TLS record that holds a hello, which does not follow. */
const HELLO_BEGINS = Buffer.from([0x16, 3, 1, 1, 0]);

const PER_SECOND = 5;
/** Connections at once, and beside them those that say nothing. */
const MOST = 3;
const SILENT = MOST;
const IDLE: StreamOwner = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };

describe('A TLS listener', () => {
  const sockets: net.Socket[] = [];
  let stack: Stack;
  let listener: Listener;
  let address: Address & { kind: 'tcp' };
  let options: tls.TlsOptions;
  let credentials: tls.ConnectionOptions;
  /** What is said of the next peer's certificate. */
  let validForMs: number;
  let subject: string;
  let isPermissive: boolean;
  const streams: Stream[] = [];

  before(async () => {
    const authority = await TestAuthority.root();
    options = serverTlsOptions(await authority.identity('digits'));
    const leaf = await authority.leaf({ service: 'app' });
    const { certChainPem: cert, keyPem: key } = leaf;
    credentials = { cert, key, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
  });

  beforeEach(async () => {
    stack = new Stack();
    validForMs = Number.POSITIVE_INFINITY;
    subject = 'spiffe://test/ns/default/dc/dc1/svc/app';
    isPermissive = false;
    streams.length = 0;
    const limits = { maxConnections: MOST, handshakeTimeoutMs: 5000, handshakesPerSecond: PER_SECOND };
    const secure = {
      options,
      attach: () => () => {},
      admit: () => ({ identity: null, subject, notAfterMs: stack.clock.wallNow() + validForMs }),
      fault: () => 'tls-error',
      get alsoPlaintext() {
        return isPermissive;
      },
    };
    const onStream: Listener['onStream'] = (_session, stream) => {
      stream.owner = IDLE;
      streams.push(stream);
    };
    const any: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };
    const flushes = new FlushScheduler((fn) => void setImmediate(fn), systemTimers);
    listener = new Listener(
      { address: any, settings: DEFAULT_LOCAL_SETTINGS, limits, tls: secure, onStream },
      { ...stack.context, flushes },
    );
    address = (await listener.listen()) as typeof address;
  });

  afterEach(() => {
    listener.stop();
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  const keep = <S extends net.Socket>(socket: S): S => {
    sockets.push(socket);
    socket.on('error', () => {});
    return socket;
  };
  const secureClient = (): tls.TLSSocket =>
    keep(tls.connect({ ...credentials, host: address.host, port: address.port }));
  /** One more client, which is refused. */
  const refused = async (): Promise<void> => {
    const client = secureClient();
    await until('it is refused', () => client.destroyed);
  };
  const open = (connections: number): Promise<void> =>
    until(`${connections} connections`, () => listener.sessions.size === connections);
  const silentClient = (): net.Socket => keep(net.connect(address.port, address.host));

  const connected = async (socket: net.Socket = secureClient()): Promise<RawPeer> => {
    const before = [...listener.sessions];
    const peer = new RawPeer(socket, { role: 'client' });
    peer.send(PREFACE, settings());
    await until('it is in and has said so', () =>
      [...listener.sessions].some((link) => !before.includes(link) && link.connection.state.settingsAcked),
    );
    return peer;
  };

  /** Nothing of what was sent is still on its way. */
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await new Promise(setImmediate);
  };

  it('a listener takes `max_connections`, and one more when one has closed', async () => {
    for (let i = 1; i <= 3; i++) {
      secureClient();
      await open(i);
    }
    await refused();
    assert.equal(stack.context.stats.limits.get('connections'), 1);
    sockets[0]!.destroy();
    await open(2);
    secureClient();
    await open(3);
  });

  it('a connection counts from its complete ClientHello', async () => {
    const hello = await clientHello();
    const begun = [silentClient(), silentClient(), silentClient()];
    for (const socket of begun) socket.write(hello);
    await until('they have begun', () => begun.every(({ bytesRead }) => bytesRead > 0));
    await refused();
    assert.deepEqual([listener.sessions.size, stack.context.stats.limits.get('connections')], [0, 1]);
  });

  describe('beside connections that begin a ClientHello and do not finish it', () => {
    it('charges no handshake for them, and serves more peers than its rate allows begun ones', async () => {
      for (let i = 0; i < 10 * PER_SECOND; i++) {
        const begun = silentClient();
        begun.write(HELLO_BEGINS);
        await until('it has arrived', () => begun.bytesWritten > 0);
        await settled();
      }
      for (let i = 1; i <= 3; i++) await connected();
      assert.equal(stack.context.stats.limits.get('handshake-rate'), undefined);
      assert.equal(listener.sessions.size, 3);
    });

    it('charges none for what is no ClientHello either', async () => {
      for (let i = 0; i < 4 * PER_SECOND; i++) {
        const other = silentClient();
        other.write(i % 2 === 0 ? 'GET / HTTP/1.1\r\n\r\n' : Buffer.from([0x16, 9, 9, 9, 9]));
        await until('it is closed', () => other.destroyed);
      }
      assert.equal(stack.context.stats.handshakeFailures.get('tls-error'), 4 * PER_SECOND);
      await connected();
    });

    it('waits for a hello that comes byte by byte, in records of one byte', async () => {
      const hello = await clientHello();
      const payload = hello.subarray(5);
      const records = Buffer.concat(
        [...payload].map((byte) => Buffer.from([0x16, hello[1]!, hello[2]!, 0, 1, byte])),
      );
      const socket = silentClient();
      for (let at = 0; at < records.length; at += 7) {
        socket.write(records.subarray(at, at + 7));
        if (at % 70 === 0) await new Promise(setImmediate);
      }
      await until('it is answered', () => socket.bytesRead > 0);
      assert.equal(stack.context.memory.held, 0);
    });

    it('holds what has come inside the memory budget, up to a bound, and gives it back', async () => {
      const begun = Array.from({ length: SILENT }, silentClient);
      // A record that announces 16 KiB, of a message of 8 KiB less one byte.
      const long = Buffer.concat([Buffer.from([0x16, 3, 1, 0x40, 0, 1, 0, 0x20, 0]), Buffer.alloc(0x1fff)]);
      for (const socket of begun) socket.write(long);
      await until('they are held', () => stack.context.memory.held >= SILENT * long.length);
      assert.ok(stack.context.memory.held <= SILENT * 2 * long.length);
      for (const socket of begun) socket.destroy();
      await until('it is given back', () => stack.context.memory.held === 0);
      const tooLong = silentClient();
      tooLong.write(Buffer.concat([Buffer.from([0x16, 3, 1, 0x40, 0, 1, 0, 0x40, 0]), Buffer.alloc(0x4000)]));
      await until('it is closed', () => tooLong.destroyed);
      assert.equal(stack.context.memory.held, 0);
    });

    it('closes them at the handshake timeout', async () => {
      const begun = silentClient();
      begun.write(HELLO_BEGINS);
      await until('it is held', () => stack.context.memory.held > 0);
      stack.clock.advance(5010);
      await until('it is closed', () => begun.destroyed);
      assert.deepEqual([...stack.context.stats.limits], [['handshake-timeout', 1]]);
      assert.equal(stack.context.memory.held, 0);
    });
  });

  describe('beside connections that say nothing', () => {
    const CROWD = 4 * SILENT;

    it('silent connections use up neither connections nor handshakes, and the oldest of too many are closed', async () => {
      const crowd = Array.from({ length: CROWD }, silentClient);
      const closed = (): number => crowd.filter((each) => each.destroyed).length;
      await until('there are too many', () => closed() === CROWD - SILENT);
      for (let i = 1; i <= 3; i++) {
        await connected();
        assert.equal(listener.sessions.size, i);
      }
      assert.deepEqual([...stack.context.stats.limits], [['silent-connections', CROWD - SILENT + 1]]);
      stack.clock.advance(5010);
      await until('the others have gone', () => closed() === CROWD);
      assert.equal(stack.context.stats.limits.get('handshake-timeout'), SILENT - 1);
      assert.equal(listener.sessions.size, 3);
    });

    it('a handshake beyond the rate is refused as it begins', async () => {
      for (let i = 0; i < PER_SECOND; i++) {
        const one = secureClient();
        await open(1);
        one.destroy();
        await open(0);
      }
      await refused();
      assert.deepEqual([...stack.context.stats.limits], [['handshake-rate', 1]]);
    });
  });

  describe('when the certificate of a peer expires', () => {
    const LIFE_MS = 60_000;
    const call = async (peer: RawPeer): Promise<Stream> => {
      const before = streams.length;
      peer.send(openRequest(1, '/a.B/C'));
      await until('the call is in', () => streams.length > before);
      return streams.at(-1)!;
    };
    const refusedCall = async (peer: RawPeer): Promise<void> => {
      peer.send(openRequest(3, '/a.B/C'));
      await peer.waitForType(FrameType.rstStream, 3);
    };
    beforeEach(() => {
      validForMs = LIFE_MS;
    });
    const goaways = (peer: RawPeer): number => peer.count(FrameType.goaway);

    it('an expired certificate of a peer ends its connection, with GOAWAY', async () => {
      const peer = await connected();
      stack.clock.advance(LIFE_MS + EXPIRY_LEEWAY_MS - 100);
      await call(peer);
      assert.equal(goaways(peer), 0);
      stack.clock.advance(200);
      await until('it is told', () => goaways(peer) === 1);
      stack.clock.advance(300);
      await until('it is told for good', () => goaways(peer) === 2);
      await refusedCall(peer);
      assert.equal(streams.length, 1);
      for (let i = 0; i < 2; i++) stack.clock.advance(EXPIRED_CALLS_MS + 10);
      await until('it is closed', () => peer.isClosed);
      assert.equal(stack.context.stats.limits.get('expired-certificate'), 1);
    });

    it('the connection of an expired certificate closes with the last of its calls', async () => {
      const peer = await connected();
      const stream = await call(peer);
      stack.clock.advance(LIFE_MS + EXPIRY_LEEWAY_MS + 1000);
      await settled();
      assert.equal(peer.isClosed, false);
      const [link] = listener.sessions;
      link!.connection.reset(stream, ErrorCode.noError);
      link!.flush();
      await until('it is closed', () => peer.isClosed);
    });

    it('the calls of an expired certificate stay while the peer has another connection with a new one', async () => {
      const old = await connected();
      await call(old);
      validForMs = 10 * LIFE_MS;
      const renewed = await connected();
      stack.clock.advance(LIFE_MS + EXPIRY_LEEWAY_MS + 300);
      await until('the old one is told', () => goaways(old) >= 1);
      for (let i = 0; i < 10; i++) stack.clock.advance(EXPIRED_CALLS_MS);
      await settled();
      assert.deepEqual([old.isClosed, renewed.isClosed, goaways(renewed)], [false, false, 0]);
      await refusedCall(old);
      await call(renewed);
      renewed.close();
      await open(1);
      stack.clock.advance(2 * EXPIRED_CALLS_MS);
      await until('it is closed', () => old.isClosed);
    });

    it('the calls of a certificate that expires while the listener drains have as long as the drain', async () => {
      const peer = await connected();
      const stream = await call(peer);
      const drained = listener.drain();
      stack.clock.advance(LIFE_MS + EXPIRY_LEEWAY_MS + 300);
      for (let i = 0; i < 5; i++) stack.clock.advance(EXPIRED_CALLS_MS);
      await settled();
      assert.equal(peer.isClosed, false);
      const [link] = listener.sessions;
      link!.connection.reset(stream, ErrorCode.noError);
      link!.flush();
      await drained;
      await until('it is closed', () => peer.isClosed);
    });

    it('the certificate of another peer does not extend an expired one', async () => {
      const old = await connected();
      await call(old);
      subject = 'spiffe://test/ns/default/dc/dc1/svc/other';
      validForMs = 10 * LIFE_MS;
      const other = await connected();
      stack.clock.advance(LIFE_MS + EXPIRY_LEEWAY_MS + 300);
      for (let i = 0; i < 3; i++) stack.clock.advance(EXPIRED_CALLS_MS);
      await until('it is closed', () => old.isClosed);
      assert.equal(other.isClosed, false);
    });

    it('peers without a certificate, or with one that is valid for long, are not ended', async () => {
      validForMs = Number.POSITIVE_INFINITY;
      const plain = await connected();
      await call(plain);
      validForMs = 1000 * LIFE_MS;
      const long = await connected();
      await call(long);
      for (let i = 0; i < 100; i++) stack.clock.advance(LIFE_MS);
      await settled();
      assert.deepEqual([plain.isClosed, long.isClosed, goaways(plain) + goaways(long)], [false, false, 0]);
    });
  });

  const silentlyConnected = async (): Promise<net.Socket> => {
    const client = silentClient();
    await until('it is connected', () => !client.pending);
    await new Promise(setImmediate);
    return client;
  };

  it('a handshake that ends after the drain has begun is refused', async () => {
    const late = await silentlyConnected();
    await listener.drain();
    const secured = keep(tls.connect({ ...credentials, socket: late }));
    await until('it is let go', () => secured.destroyed);
    assert.equal(listener.sessions.size, 0);
  });

  it('a listener with permissive mTLS takes peers with and without TLS', async () => {
    isPermissive = true;
    for (const [i, client] of [silentClient, secureClient].entries()) {
      const peer = await connected(client());
      peer.send(openRequest(1, '/a.B/C'));
      await until('its call is in', () => streams.length === i + 1);
    }
  });

  it('a connection that has had its share of a turn is read on, with and without TLS', async () => {
    isPermissive = true;
    for (const client of [silentClient, secureClient]) {
      streams.length = 0;
      const peer = await connected(client());
      peer.send(openRequest(1, '/a.B/C'), openRequest(3, '/a.B/C'));
      await until('its calls are in', () => streams.length === 2);
      // By turns, so that none continues a run: ten times the share of one turn.
      const pair = Buffer.concat([data(1, Buffer.from('a')), data(3, Buffer.from('b'))]);
      peer.send(Buffer.concat(Array<Buffer>(10_000).fill(pair)));
      await until('all of it is in', () => streams.every(({ receivedBytes }) => receivedBytes === 10_000));
      peer.send(rstStream(1), rstStream(3));
      await until('what follows is read too', () => streams.every(({ closed }) => closed));
    }
  });

  it('a stop ends handshakes in flight', async () => {
    const silent = await silentlyConnected();
    listener.stop();
    await until('it is let go', () => silent.destroyed);
  });
});

/** The first flight of a real TLS client. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk);
        done();
      },
    });
    tls.connect({ socket: wire, ALPNProtocols: ['h2'] }).on('error', () => {});
  });
}
