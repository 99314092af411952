import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { HealthProbe } from '../../../../sidecar/health/model/health-probe.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { Scratch } from '../../../kit/process/outrider.js';
import { type AskedCall, respond, respondStatus, serveOnSocket } from '../../../kit/service/socket-server.js';

const answer = (status: number) => Buffer.from([0, 0, 0, 0, 2, 0x08, status]);

describe('health probe', () => {
  let path: string;
  let probe: HealthProbe;

  beforeEach(() => {
    const scratch = new Scratch();
    path = join(scratch.path, 'model.sock');
    probe = new HealthProbe({ kind: 'unix', path }, { timers: systemTimers });
    afterTest(() => scratch.remove());
  });
  afterEach(() => probe.close());

  /** A server that takes connections and then does what `onSocket` says. */
  async function listenRaw(onSocket: (socket: Socket) => void): Promise<void> {
    const server = createServer((socket) => {
      afterTest(() => socket.destroy());
      socket.on('error', () => {});
      onSocket(socket);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    afterTest(() => new Promise((resolve) => server.close(resolve)));
  }

  it('asks grpc.health.v1 for the whole server and understands SERVING, over one kept connection', async () => {
    const paths: string[] = [];
    const server = await serveOnSocket(path, ({ stream, headers }) => {
      paths.push(String(headers[':path']));
      respond(stream, answer(1));
    });
    for (let i = 0; i < 3; i++) assert.deepEqual(await probe.check(5_000), { kind: 'serving' });
    assert.deepEqual(new Set(paths), new Set(['/grpc.health.v1.Health/Check']));
    assert.equal(server.connections, 1);
  });

  it('says not serving for NOT_SERVING, UNKNOWN and error statuses', async () => {
    const answers: ((call: AskedCall) => void)[] = [
      ({ stream }) => respond(stream, answer(2)),
      ({ stream }) => respond(stream, Buffer.alloc(5)),
      ({ stream }) => respondStatus(stream, 14),
    ];
    await serveOnSocket(path, (call) => answers.shift()!(call));
    for (const why of [/NOT_SERVING/, /NOT_SERVING/, /status 14/]) {
      const health = await probe.check(5_000);
      assert.equal(health.kind, 'not-serving');
      assert.match(health.kind === 'not-serving' ? health.why : '', why);
    }
  });

  it('counts a gRPC server without a health service as serving', async () => {
    await serveOnSocket(path, ({ stream }) => respondStatus(stream, 12));
    assert.deepEqual(await probe.check(5_000), { kind: 'serving' });
  });

  it('is silent when nothing listens, and finds the server once it does', async () => {
    assert.equal((await probe.check(5_000)).kind, 'silent');
    await serveOnSocket(path, ({ stream }) => respond(stream, answer(1)));
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
    await serveOnSocket(path, ({ stream }) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(Buffer.alloc(100_000));
    });
    assert.notEqual((await probe.check(5_000)).kind, 'serving');
  });
});
