/** OTLP/gRPC to collectors of every kind, on real sockets. */
import assert from 'node:assert/strict';
import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { OtlpGrpcSender } from '../../../../sidecar/telemetry/otlp/otlp-grpc.js';
import { METRICS, TRACES } from '../../../../sidecar/telemetry/otlp/otlp-sender.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** Answers with this message and status, as gRPC does. */
const answering =
  (status: number, message = Buffer.alloc(0), text = ''): OnStream =>
  (stream) => {
    stream.on('error', () => {});
    stream.resume().on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': String(status), 'grpc-message': text }),
      );
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      stream.end(Buffer.concat([head, message]));
    });
  };

describe('OTLP over gRPC', () => {
  let sessions: ServerHttp2Session[];
  const collector = async (
    onStream: OnStream,
    timeoutMs = 10_000,
    signal = TRACES,
  ): Promise<OtlpGrpcSender> => {
    sessions = [];
    const server = createServer();
    server.on('session', (session) => void sessions.push(session.on('error', () => {})));
    server.on('stream', onStream);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const settings = { endpoint: `http://127.0.0.1:${port}`, headers: { 'x-key': 'k' } };
    const sender = new OtlpGrpcSender(settings, { signal, timers: systemTimers, timeoutMs });
    afterTest(() => {
      sender.close();
      for (const session of sessions) session.destroy();
      server.close();
    });
    return sender;
  };

  it('calls Export with the headers, on one connection', async () => {
    const seen: unknown[] = [];
    const answer = answering(0);
    const sender = await collector((stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () =>
        seen.push([headers[':path'], headers['x-key'], Buffer.concat(chunks).toString('hex')]),
      );
      answer(stream, headers);
    });
    for (let i = 0; i < 2; i++)
      assert.deepEqual(await sender.send(Buffer.from('abc')), { kind: 'taken', rejected: 0 });
    const call = ['/opentelemetry.proto.collector.trace.v1.TraceService/Export', 'k', '0000000003616263'];
    assert.deepEqual(seen, [call, call]);
    assert.equal(sessions.length, 1);
  });

  it('calls over the connection that it is given', async () => {
    sessions = [];
    const server = createServer();
    server.on('session', (session) => void sessions.push(session.on('error', () => {})));
    server.on('stream', answering(0));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const settings = { endpoint: 'http://nowhere.invalid:4317', headers: {} };
    const dial = () => connect(port, '127.0.0.1');
    const sender = new OtlpGrpcSender(settings, { signal: TRACES, timers: systemTimers, dial });
    afterTest(() => {
      sender.close();
      for (const session of sessions) session.destroy();
      server.close();
    });
    assert.deepEqual(await sender.send(Buffer.from('abc')), { kind: 'taken', rejected: 0 });
    assert.equal(sessions.length, 1);
  });

  it('leaves nothing on the connection after a request', async () => {
    const warnings: string[] = [];
    const note = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', note);
    afterTest(() => void process.off('warning', note));
    const sender = await collector(answering(0));
    // Node warns of the eleventh listener.
    for (let i = 0; i < 20; i++) await sender.send(Buffer.alloc(1));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(sessions.length, 1);
    assert.deepEqual(warnings, []);
  });

  it('connects anew after a request that was not answered in time', async () => {
    const answer = answering(0);
    const sender = await collector((stream, headers) => {
      if (sessions.length === 1) stream.on('error', () => {});
      else answer(stream, headers);
    }, 50);
    assert.deepEqual(await sender.send(Buffer.alloc(1)), { kind: 'failed', why: 'no answer within 50 ms' });
    assert.equal((await sender.send(Buffer.alloc(1))).kind, 'taken');
    assert.equal(sessions.length, 2);
  });

  it('says how many spans were refused', async () => {
    const sender = await collector(answering(0, Buffer.from('0a020807', 'hex')));
    assert.deepEqual(await sender.send(Buffer.alloc(1)), { kind: 'taken', rejected: 7 });
  });

  it('calls the service of the signal', async () => {
    const seen: unknown[] = [];
    const answer = answering(0);
    const onStream: OnStream = (stream, headers) => {
      seen.push(headers[':path']);
      answer(stream, headers);
    };
    await (await collector(onStream, 10_000, METRICS)).send(Buffer.alloc(1));
    assert.deepEqual(seen, ['/opentelemetry.proto.collector.metrics.v1.MetricsService/Export']);
  });

  it('gives up on a collector that answers a byte now and then', async () => {
    const sender = await collector((stream) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      const trickle = setInterval(() => stream.write(Buffer.alloc(1)), 10);
      stream.on('close', () => clearInterval(trickle));
    }, 100);
    assert.deepEqual(await sender.send(Buffer.alloc(1)), { kind: 'failed', why: 'no answer within 100 ms' });
  });

  for (const [status, kind, why] of [
    [3, 'refused', 'INVALID_ARGUMENT: no'],
    [16, 'refused', 'UNAUTHENTICATED: no'],
    [8, 'failed', 'RESOURCE_EXHAUSTED: no'],
    [14, 'failed', 'UNAVAILABLE: no'],
  ] as const)
    it(`takes status ${status} as ${kind}`, async () => {
      const sender = await collector(answering(status, Buffer.alloc(0), 'no'));
      assert.deepEqual(await sender.send(Buffer.alloc(1)), { kind, why });
    });

  it('takes what is no gRPC by its HTTP status', async () => {
    const page = await collector((stream) => stream.respond({ ':status': 404 }, { endStream: true }));
    assert.deepEqual(await page.send(Buffer.alloc(1)), { kind: 'refused', why: 'HTTP status 404' });
    const busy = await collector((stream) => stream.respond({ ':status': 503 }, { endStream: true }));
    assert.deepEqual(await busy.send(Buffer.alloc(1)), { kind: 'failed', why: 'HTTP status 503' });
  });

  it('fails where nothing listens or the stream is reset, and connects again', async () => {
    const options = { signal: TRACES, timers: systemTimers };
    const away = new OtlpGrpcSender({ endpoint: 'http://127.0.0.1:1', headers: {} }, options);
    for (let i = 0; i < 2; i++) assert.equal((await away.send(Buffer.alloc(1))).kind, 'failed');
    const reset = await collector((stream) => stream.on('error', () => {}).close(2));
    assert.equal((await reset.send(Buffer.alloc(1))).kind, 'failed');
    let calls = 0;
    const answer = answering(0);
    const broken = await collector((stream, headers) => {
      if (calls++ === 0) stream.on('error', () => {}).session?.destroy();
      else answer(stream, headers);
    });
    assert.equal((await broken.send(Buffer.alloc(1))).kind, 'failed');
    assert.equal((await broken.send(Buffer.alloc(1))).kind, 'taken');
  });

  it('a request under way fails when the sender is closed', async () => {
    let onArrival = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      onArrival = resolve;
    });
    const sender = await collector(() => onArrival());
    const result = sender.send(Buffer.alloc(1));
    await arrived;
    sender.close();
    assert.equal((await result).kind, 'failed');
  });
});
