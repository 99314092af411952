import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttp2, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HealthProbe } from '../../../../sidecar/health/model/health-probe.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';

const answer = (status: number) => Buffer.from([0, 0, 0, 0, 2, 0x08, status]);

describe('health probe', () => {
  let folder: string;
  let path: string;
  let probe: HealthProbe;
  let closing: (() => Promise<void>)[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
    path = join(folder, 'model.sock');
    probe = new HealthProbe({ kind: 'unix', path }, systemTimers);
    closing = [];
  });

  afterEach(async () => {
    probe.close();
    for (const close of closing) await close();
    rmSync(folder, { recursive: true });
  });

  /** A gRPC server whose every call is answered by `respond`. */
  async function serve(
    respond: (stream: ServerHttp2Stream, path: string) => void,
  ): Promise<{ connections(): number }> {
    let connections = 0;
    const server: Http2Server = createHttp2();
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      stream.resume();
      stream.on('end', () => respond(stream, String(headers[':path'])));
    });
    server.on('session', () => {
      connections++;
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    closing.push(() => new Promise((resolve) => server.close(() => resolve())));
    return { connections: () => connections };
  }

  function withStatus(stream: ServerHttp2Stream, grpcStatus: number, body?: Buffer): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(grpcStatus) }));
    stream.end(body);
  }

  function trailersOnly(stream: ServerHttp2Stream, grpcStatus: number): void {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(grpcStatus) },
      { endStream: true },
    );
  }

  /** A server that takes connections and then does what `onSocket` says. */
  async function listenRaw(onSocket: (socket: Socket) => void): Promise<void> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      onSocket(socket);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    closing.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
  }

  it('asks grpc.health.v1 for the whole server and understands SERVING, over one kept connection', async () => {
    const paths: string[] = [];
    const server = await serve((stream, asked) => {
      paths.push(asked);
      withStatus(stream, 0, answer(1));
    });
    for (let i = 0; i < 3; i++) assert.deepEqual(await probe.check(5_000), { kind: 'serving' });
    assert.deepEqual(new Set(paths), new Set(['/grpc.health.v1.Health/Check']));
    assert.equal(server.connections(), 1);
  });

  it('says not serving for NOT_SERVING, UNKNOWN and error statuses', async () => {
    const answers: ((stream: ServerHttp2Stream) => void)[] = [
      (stream) => withStatus(stream, 0, answer(2)),
      (stream) => withStatus(stream, 0, Buffer.alloc(5)),
      (stream) => trailersOnly(stream, 14),
    ];
    let next = 0;
    await serve((stream) => answers[next++]!(stream));
    for (const why of [/NOT_SERVING/, /NOT_SERVING/, /status 14/]) {
      const health = await probe.check(5_000);
      assert.equal(health.kind, 'not-serving');
      assert.match(health.kind === 'not-serving' ? health.why : '', why);
    }
  });

  it('counts a gRPC server without a health service as serving', async () => {
    await serve((stream) => trailersOnly(stream, 12));
    assert.deepEqual(await probe.check(5_000), { kind: 'serving' });
  });

  it('is silent when nothing listens, and finds the server once it does', async () => {
    assert.equal((await probe.check(5_000)).kind, 'silent');
    await serve((stream) => withStatus(stream, 0, answer(1)));
    assert.equal((await probe.check(5_000)).kind, 'serving');
  });

  it('is silent when a server takes the connection and says nothing, as a frozen one does', async () => {
    await listenRaw(() => {});
    assert.deepEqual(await probe.check(50), { kind: 'silent', why: 'no answer in 50 ms' });
  });

  it('is silent, without throwing, for garbage, a closed connection and endless bodies', async () => {
    const behaviours: ((socket: Socket) => void)[] = [
      (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      (socket) => socket.destroy(),
    ];
    await listenRaw((socket) => behaviours.shift()?.(socket));
    assert.equal((await probe.check(5_000)).kind, 'silent');
    assert.equal((await probe.check(5_000)).kind, 'silent');
  });

  it('does not swallow an endless answer', async () => {
    await serve((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(Buffer.alloc(100_000));
    });
    assert.notEqual((await probe.check(5_000)).kind, 'serving');
  });
});
