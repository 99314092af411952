/** OTLP/HTTP to collectors of every kind, on real sockets. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { OtlpHttpSender, signalUrl } from '../../../../sidecar/telemetry/otlp/otlp-http.js';
import { METRICS, TRACES } from '../../../../sidecar/telemetry/otlp/otlp-sender.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

const REJECTED = Buffer.from('0a020807', 'hex');

describe('OTLP over HTTP', () => {
  const options = { signal: TRACES, timers: systemTimers };
  const collector = async (listener: RequestListener, timeoutMs = 10_000): Promise<OtlpHttpSender> => {
    const server = createServer(listener);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const settings = { endpoint: `http://127.0.0.1:${port}`, headers: { 'x-key': 'k' } };
    const sender = new OtlpHttpSender(settings, { ...options, timeoutMs });
    afterTest(() => {
      sender.close();
      server.close();
      server.closeAllConnections();
    });
    return sender;
  };

  it('posts protobuf with the headers, on one connection', async () => {
    const seen: unknown[] = [];
    const sockets = new Set<unknown>();
    const sender = await collector((request, response) => {
      sockets.add(request.socket);
      const { method, url, headers } = request;
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        seen.push([method, url, headers['content-type'], headers['x-key'], Buffer.concat(chunks).toString()]);
        response.end();
      });
    });
    for (const body of ['one', 'two'])
      assert.deepEqual(await sender.send(Buffer.from(body)), { kind: 'taken', rejected: 0 });
    const common = ['POST', '/v1/traces', 'application/x-protobuf', 'k'];
    assert.deepEqual(seen, [
      [...common, 'one'],
      [...common, 'two'],
    ]);
    assert.equal(sockets.size, 1);
  });

  it('posts over the connections that it is given', async () => {
    const urls: unknown[] = [];
    const server = createServer((request, response) => {
      urls.push(request.url);
      request.resume().on('end', () => response.end());
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const settings = { endpoint: 'http://nowhere.invalid:4318', headers: {} };
    const sender = new OtlpHttpSender(settings, { ...options, dial: () => connect(port, '127.0.0.1') });
    afterTest(() => {
      sender.close();
      server.close();
      server.closeAllConnections();
    });
    assert.deepEqual(await sender.send(Buffer.from('abc')), { kind: 'taken', rejected: 0 });
    assert.deepEqual(urls, ['/v1/traces']);
  });

  it('says how many spans were refused', async () => {
    const sender = await collector((_, response) => void response.end(REJECTED));
    assert.deepEqual(await sender.send(Buffer.alloc(1)), { kind: 'taken', rejected: 7 });
  });

  for (const [status, kind] of [
    [400, 'refused'],
    [302, 'refused'],
    [413, 'refused'],
    [429, 'failed'],
    [503, 'failed'],
  ] as const)
    it(`takes ${status} as ${kind}`, async () => {
      const sender = await collector(
        (_, response) => void response.writeHead(status, { 'retry-after': '5' }).end(),
      );
      const result = await sender.send(Buffer.alloc(1));
      assert.deepEqual(result, {
        ...{ kind, why: `HTTP status ${status}` },
        ...(kind === 'failed' ? { waitMs: 5_000 } : {}),
      });
    });

  it('fails where nothing listens, the answer breaks off, or never ends', async () => {
    const away = new OtlpHttpSender({ endpoint: 'http://127.0.0.1:1', headers: {} }, options);
    assert.equal((await away.send(Buffer.alloc(1))).kind, 'failed');
    const broken = await collector((request) => void request.socket.destroy());
    assert.equal((await broken.send(Buffer.alloc(1))).kind, 'failed');
    const endless = await collector((_, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384)));
      };
      response.on('drain', write);
      write();
    });
    assert.equal((await endless.send(Buffer.alloc(1))).kind, 'failed');
  });

  it('gives up on a collector that answers a byte now and then, and asks it again', async () => {
    let requests = 0;
    const sender = await collector((_, response) => {
      if (requests++ > 0) return void response.end();
      const trickle = setInterval(() => response.write(Buffer.alloc(1)), 10);
      response.on('close', () => clearInterval(trickle));
    }, 100);
    assert.deepEqual(await sender.send(Buffer.alloc(1)), { kind: 'failed', why: 'no answer within 100 ms' });
    assert.equal((await sender.send(Buffer.alloc(1))).kind, 'taken');
  });

  it('a request under way fails when the sender is closed', async () => {
    const sender = await collector(() => {});
    const result = sender.send(Buffer.alloc(1));
    await new Promise((resolve) => setImmediate(resolve));
    sender.close();
    assert.equal((await result).kind, 'failed');
  });

  it('an endpoint without a path gets the usual one', () => {
    assert.equal(signalUrl('http://a:4318', TRACES).href, 'http://a:4318/v1/traces');
    assert.equal(signalUrl('http://a:4318', METRICS).href, 'http://a:4318/v1/metrics');
    assert.equal(signalUrl('https://a:4318/otlp', METRICS).href, 'https://a:4318/otlp');
  });
});
