import assert from 'node:assert/strict';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import { GrpcClient } from '../../../../sidecar/health/model/grpc-client.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { Scratch } from '../../../kit/process/outrider.js';

const OPTIONS = { timeoutMs: 5_000, maxBytes: 16 };
const HEADERS = { ':status': 200, 'content-type': 'application/grpc' };

describe('the small gRPC client', () => {
  let scratch: Scratch;
  let server: Http2Server;
  let client: GrpcClient;
  let answer: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void;

  beforeEach(async () => {
    scratch = new Scratch();
    const path = join(scratch.path, 's');
    server = createServer();
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      stream.resume();
      stream.on('end', () => answer(stream, headers));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    client = new GrpcClient({ kind: 'unix', path }, systemTimers);
  });

  afterEach(async () => {
    client.close();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    scratch.remove();
  });

  const ok = (body: Buffer) => (stream: ServerHttp2Stream) => {
    stream.respond(HEADERS, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(body);
  };

  it('gives the message of the answer, and lets the server know how long it waits', async () => {
    let seen: Record<string, unknown> = {};
    answer = (stream, headers) => {
      seen = headers;
      ok(Buffer.from([0, 0, 0, 0, 2, 7, 8]))(stream);
    };
    const got = await client.call('/a.B/C', Buffer.from([1]), OPTIONS);
    assert.deepEqual(got, { kind: 'message', message: Buffer.from([7, 8]) });
    assert.deepEqual([seen[':path'], seen['grpc-timeout'], seen['te']], ['/a.B/C', '5000m', 'trailers']);
  });

  it('gives a status with its words', async () => {
    const words = { 'grpc-status': '5', 'grpc-message': 'no model %27d%C3%A4%27 %zz' };
    answer = (stream) => stream.respond({ ...HEADERS, ...words }, { endStream: true });
    const got = await client.call('/a.B/C', Buffer.alloc(0), OPTIONS);
    assert.deepEqual(got, { kind: 'status', status: 5, message: 'no model %27d%C3%A4%27 %zz' });
    answer = (stream) =>
      stream.respond({ ...HEADERS, 'grpc-status': '5', 'grpc-message': 'd%C3%A4' }, { endStream: true });
    const decoded = await client.call('/a.B/C', Buffer.alloc(0), OPTIONS);
    assert.deepEqual(decoded, { kind: 'status', status: 5, message: 'dä' });
  });

  for (const [name, body] of [
    ['compressed', [1, 0, 0, 0, 1, 0]],
    ['cut off', [0, 0, 0, 0, 9, 0]],
    ['absent', []],
    ['two', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ] as const)
    it(`takes no message that is ${name}`, async () => {
      answer = ok(Buffer.from(body));
      const got = await client.call('/a.B/C', Buffer.alloc(0), OPTIONS);
      assert.deepEqual(got, { kind: 'status', status: 13, message: 'the answer is not one plain message' });
    });

  it('ends an answer that is too long, and goes on with the next', async () => {
    answer = ok(Buffer.alloc(100_000));
    assert.equal((await client.call('/a.B/C', Buffer.alloc(0), OPTIONS)).kind, 'silent');
    answer = ok(Buffer.from([0, 0, 0, 0, 0]));
    assert.equal((await client.call('/a.B/C', Buffer.alloc(0), OPTIONS)).kind, 'message');
  });
});
