/**
 * The shared read buffer on real sockets. A Node that does not take it reads in its own way, which works and is slower, and
 * says nothing of it: these tests fail then.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { ChunkList } from '../../../sidecar/transport/chunk-list.js';
import { dialPlain, dialTls } from '../../../sidecar/transport/dial.js';
import {
  readBuffers,
  readRecordsInto,
  SharedReadBuffer,
  withReadBuffer,
} from '../../../sidecar/transport/shared-read-buffer.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';

const LARGE = 600 * 1024;

/** What a socket has read: through its read buffer, and in Node's own way. */
function reader(socket: net.Socket) {
  const port = readBuffers.get(socket);
  assert.ok(port, 'the socket reads in the way of Node');
  const read: Buffer[] = [];
  let around = 0;
  socket.on('data', (chunk: Buffer) => {
    around += chunk.length;
  });
  port.deliver((chunk, start, end) => read.push(chunk.subarray(start, end)));
  return {
    all: () => Buffer.concat(read),
    parts: read,
    around: () => around,
  };
}

/** A socket to a server, whose end of the connection is `accepted`. */
async function connected<Accepted extends net.Socket>(
  server: net.Server,
  event: 'connection' | 'secureConnection',
  dial: (port: number) => net.Socket,
): Promise<readonly [net.Socket, Accepted]> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterTest(() => void server.close());
  const accepted = once(server, event);
  const client = dial((server.address() as net.AddressInfo).port);
  afterTest(() => void client.destroy());
  const [socket] = (await accepted) as [Accepted];
  afterTest(() => void socket.destroy());
  return [client, socket];
}

const dialAsNode = (port: number): net.Socket =>
  tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });

/** The same with TLS. */
async function connectedByTls(dial = dialAsNode): Promise<readonly [net.Socket, tls.TLSSocket]> {
  const authority = await TestAuthority.root();
  const { certChainPem: cert, keyPem: key } = await authority.leaf({ service: 'digits' });
  return connected(tls.createServer({ cert, key }), 'secureConnection', dial);
}

const here = (port: number) => ({ kind: 'tcp', host: '127.0.0.1', port }) as const;

/** Small reads, one after the other, then a large message: each byte comes through the buffer, and stays as it was. */
async function readsAll(from: net.Socket, to: net.Socket, before = ''): Promise<void> {
  const seen = reader(to);
  const small = Array.from({ length: 20 }, (_, i) => Buffer.alloc(50, i + 1));
  for (const [i, part] of small.entries()) {
    from.write(part);
    await until('it is read', () => seen.all().length === before.length + 50 * (i + 1));
  }
  const buffers = new Set(seen.parts.map(({ buffer }) => buffer));
  assert.ok(buffers.size <= 3, `${small.length} small reads lie in ${buffers.size} buffers`);
  const large = Buffer.alloc(LARGE, 'outrider');
  from.write(large);
  const length = before.length + 50 * small.length + LARGE;
  await until('all is read', () => seen.all().length === length);
  assert.ok(seen.all().equals(Buffer.concat([Buffer.from(before), ...small, large])));
  assert.equal(seen.around(), 0);
}

describe('the shared read buffer', () => {
  it('has what an accepted socket reads', async () => {
    const server = net.createServer({ pauseOnConnect: true });
    const [client, accepted] = await connected(server, 'connection', (port) =>
      net.connect(port, '127.0.0.1'),
    );
    const socket = withReadBuffer(accepted);
    afterTest(() => void socket.destroy());
    await readsAll(client, socket);
  });

  it('has what a socket reads that connects', async () => {
    const [client, accepted] = await connected(net.createServer(), 'connection', (port) =>
      dialPlain(here(port)),
    );
    await readsAll(accepted, client);
  });

  it('has what a socket with TLS reads that connects', async () => {
    const [client, accepted] = await connectedByTls((port) =>
      dialTls(here(port), { rejectUnauthorized: false }),
    );
    await readsAll(accepted, client);
  });

  it('has what an accepted socket with TLS reads, also what came with the end of the handshake', async () => {
    const [client, accepted] = await connectedByTls();
    client.write('early');
    await until('it is read in the way of Node', () => accepted.readableLength === 5);
    readRecordsInto(accepted);
    await readsAll(client, accepted, 'early');
  });

  it('has records of a large message side by side, with room for a frame header before each', async () => {
    const [client, accepted] = await connectedByTls();
    readRecordsInto(accepted);
    const seen: { readonly chunk: Buffer; readonly start: number; readonly end: number }[] = [];
    readBuffers.get(accepted)!.deliver((chunk, start, end) => seen.push({ chunk, start, end }));
    const large = Buffer.alloc(LARGE, 'outrider');
    client.write(large);
    const read = () => Buffer.concat(seen.map(({ chunk, start, end }) => chunk.subarray(start, end)));
    await until('all is read', () => read().length === LARGE);
    assert.ok(read().equals(large));
    const own = seen.slice(1);
    const behind = own.filter(
      ({ chunk, start }, i) => seen[i]!.chunk === chunk && seen[i]!.end + 9 === start,
    );
    assert.ok(behind.length >= own.length * 0.75, `${behind.length} of ${own.length} records`);
  });

  it('keeps little memory alive for a tiny read, and a slice of it is counted as that', () => {
    const port = new SharedReadBuffer('bytes');
    const costs: number[] = [];
    port.deliver((chunk, start, end) => {
      const kept = new ChunkList();
      const cost = kept.cost(chunk, start, end);
      kept.addOwned(chunk, start, end);
      assert.equal(cost, kept.pinnedBytes, 'what is held is what is counted');
      costs.push(cost);
    });
    for (const n of [5, 512, 2_000]) port.onread.callback(n, port.onread.buffer());
    assert.ok(costs[0]! <= 5_000 && costs[1]! <= 5_000, `${costs}`);
    assert.ok(costs[2]! > 16_000, `${costs}`);
  });

  it('keeps little else alive for a piece of a large read that is copied: four times what it is counted as, at most', () => {
    const read = Buffer.alloc(128 * 1024, 'x');
    for (const n of [1, 10, 256, 257, 4_000]) {
      const kept = new ChunkList();
      const cost = kept.cost(read, 0, n);
      kept.add(read, 0, n);
      const { buffer, start, end } = kept.at(0);
      assert.ok(buffer.buffer.byteLength <= 4 * cost, `${n}: ${buffer.buffer.byteLength} for ${cost}`);
      assert.deepEqual(buffer.subarray(start, end), read.subarray(0, n));
    }
  });

  it('ends with the peer', async () => {
    const [client, accepted] = await connectedByTls();
    readRecordsInto(accepted);
    const seen = reader(accepted);
    const ended = once(accepted, 'end');
    client.end('last');
    await ended;
    assert.equal(seen.all().toString(), 'last');
  });
});
