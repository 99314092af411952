/**
 * How silent connections are seen to speak, on real sockets. A Node without what it takes reads the first octets and gives them
 * back, which works and is slower, and says nothing of it: these tests fail then.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { saidNothing, watchArrival } from '../../../sidecar/transport/silent-connections.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';

/** More than the first input buffer of a TLS session takes that was given its first octets by JavaScript. */
const LARGE = 600 * 1024;

describe('Seeing that a silent connection speaks', () => {
  let authority: TestAuthority;
  before(async () => {
    authority = await TestAuthority.root();
  });

  /** A server that takes sockets paused, and a client of it. */
  async function silentPair(): Promise<readonly [net.Socket, net.Socket]> {
    const server = net.createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    afterTest(() => void server.close());
    const accepted = once(server, 'connection');
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    client.on('error', () => {});
    afterTest(() => void client.destroy());
    const [socket] = (await accepted) as [net.Socket];
    socket.on('error', () => {});
    afterTest(() => void socket.destroy());
    return [client, socket];
  }

  /** Counts arrivals; the first is handed to `then`. */
  function watched(socket: net.Socket, then: () => void = () => {}): () => number {
    let arrivals = 0;
    const isWatched = watchArrival(socket, () => {
      if (++arrivals === 1) then();
    });
    assert.ok(isWatched, 'the socket is not watched: its octets would be read and given back');
    return () => arrivals;
  }

  async function secureServer(): Promise<tls.Server> {
    const { certChainPem: cert, keyPem: key } = await authority.leaf({ service: 'digits' });
    return tls.createServer({ cert, key });
  }

  it('nothing is read before, and it is seen once', async () => {
    const [client, socket] = await silentPair();
    const arrivals = watched(socket);
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    assert.equal(arrivals(), 0);
    client.write('hello');
    await until('it is seen', () => arrivals() > 0);
    client.write('again');
    for (let i = 0; i < 50; i++) await new Promise(setImmediate);
    assert.deepEqual([arrivals(), socket.bytesRead, socket.readableLength], [1, 0, 0]);
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    it(`a handshake of ${version} and what follows it arrive whole`, async () => {
      const [client, socket] = await silentPair();
      const server = await secureServer();
      const read: Buffer[] = [];
      server.on('secureConnection', (secured) => {
        secured.on('data', (chunk: Buffer) => void read.push(chunk));
        secured.on('end', () => secured.end('bye'));
      });
      watched(socket, () => server.emit('connection', socket));
      const peer = tls.connect({ socket: client, rejectUnauthorized: false, maxVersion: version });
      afterTest(() => void peer.destroy());
      const answer = once(peer, 'data') as Promise<[Buffer]>;
      const message = Buffer.alloc(LARGE, version);
      peer.end(message);
      assert.equal((await answer)[0].toString(), 'bye');
      assert.ok(Buffer.concat(read).equals(message));
      await until('both are closed', () => client.destroyed && socket.destroyed);
    });

  const leave: Readonly<Record<string, (client: net.Socket) => void>> = {
    'closes without a word': (client) => void client.end(),
    'resets without a word': (client) => void client.resetAndDestroy(),
  };
  for (const [what, act] of Object.entries(leave))
    it(`a peer that ${what} is seen, and its handshake fails with nothing said`, async () => {
      const [client, socket] = await silentPair();
      const server = await secureServer();
      const failed = once(server, 'tlsClientError') as Promise<[Error, tls.TLSSocket]>;
      watched(socket, () => server.emit('connection', socket));
      act(client);
      const [, secured] = await failed;
      assert.equal(saidNothing(secured), true);
      secured.destroy();
      await until('it is closed', () => socket.destroyed);
    });

  it('a peer that says one octet and closes has said something', async () => {
    const [client, socket] = await silentPair();
    const server = await secureServer();
    const failed = once(server, 'tlsClientError') as Promise<[Error, tls.TLSSocket]>;
    watched(socket, () => server.emit('connection', socket));
    client.end(Buffer.from([22]));
    assert.equal(saidNothing((await failed)[1]), false);
  });

  it('a socket that is closed meanwhile is not seen any more', async () => {
    const [client, socket] = await silentPair();
    const arrivals = watched(socket);
    client.write('hello');
    socket.destroy();
    await until('it is closed', () => client.destroyed);
    assert.equal(arrivals(), 0);
  });

  it('a socket of another kind is not watched, and not touched', () => {
    const socket = new net.Socket();
    assert.equal(
      watchArrival(socket, () => {}),
      false,
    );
    socket.destroy();
  });
});
