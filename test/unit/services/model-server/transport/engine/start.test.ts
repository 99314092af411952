import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { deflateSync, gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import type { Method } from '../../../../../../proto/load.js';
import {
  type ServedMethod,
  type StreamCall,
  streaming,
  unary,
} from '../../../../../../services/model-server/protocol/call.js';
import { RpcError } from '../../../../../../services/model-server/rpc.js';
import { startEngine } from '../../../../../../services/model-server/transport/engine/start.js';
import type { Transport } from '../../../../../../services/model-server/transport/transport.js';
import { rawMethod } from '../../../../../../sidecar/cli/chaos/protocol/raw-method.js';
import { grpcMessage } from '../../../../../kit/http2/h2-frames.js';
import { until } from '../../../../../kit/process/processes.js';
import { framedCall } from '../../../../../kit/service/framed-client.js';

const MIB = 1024 * 1024;

function method(path: string, requestStream: boolean, responseStream: boolean): Method<Buffer, Buffer> {
  return rawMethod(path, { requestStream, responseStream });
}

describe('the engine as the server of a model service', () => {
  let server: Transport;
  let cancelled: string[];
  let opened: StreamCall<Buffer> | undefined;
  let received: string[];
  let written: number;
  const log: string[] = [];
  const OPTIONS = { log: (line: string) => void log.push(line), memoryBytes: 16 * MIB };

  const table: ServedMethod[] = [
    unary(method('/t.T/Echo', false, false), (request, _call, reply) =>
      reply(undefined, request, { seen: 'yes' }),
    ),
    unary(method('/t.T/Fail', false, false), () => {
      throw new RpcError(status.NOT_FOUND, 'no ünit, 100 %', { why: 'gone' });
    }),
    unary(method('/t.T/Hang', false, false), (_request, call) => {
      received.push('hangs');
      call.onCancelled(() => cancelled.push(`cancelled ${call.cancelled}`));
    }),
    streaming(method('/t.T/Talk', true, true), (call) => {
      opened = call;
      call.onCancelled(() => cancelled.push('talk'));
      return {
        request: (request) => {
          received.push(request.toString());
          if (received.length === 1) call.pause();
          call.write(request);
        },
        end: () => call.end(),
      };
    }),
    streaming(method('/t.T/Flood', false, true), (call) => {
      const write = (): void => {
        while (call.writable && written < 400) {
          written++;
          call.write(Buffer.alloc(16_384));
        }
        if (written < 400) call.onWritable(write);
        else call.end();
      };
      return { request: write, end: () => undefined };
    }),
  ];

  const address = () => {
    const [host, port] = server.target.split(':');
    return { kind: 'tcp', host: host!, port: Number(port) } as const;
  };
  const call = (path: string, body: Buffer, headers = {}) => framedCall(address(), { path, body, headers });
  const connect = () =>
    http2.connect(`http://${server.target}`, { maxSessionMemory: 1000 }).on('error', () => {});
  const open = (session: http2.ClientHttp2Session, path: string) =>
    session.request({ ':method': 'POST', ':path': path, te: 'trailers', 'content-type': 'application/grpc' });

  beforeEach(async () => {
    cancelled = [];
    received = [];
    written = 0;
    opened = undefined;
    server = await startEngine(table, { kind: 'tcp', host: '127.0.0.1', port: 0 }, OPTIONS);
  });
  afterEach(() => server.abort());

  it('answers a unary call, a message of many frames among them', async () => {
    for (const length of [0, 5, 100_000, 3_000_000]) {
      const { status: code, messages } = await call('/t.T/Echo', grpcMessage(Buffer.alloc(length, 'a')));
      assert.equal(code, status.OK);
      assert.equal(messages.length, 1);
      assert.equal(messages[0]!.body.length, length);
    }
  });

  it('inflates gzip and deflate, and refuses other encodings with those that it takes', async () => {
    for (const [encoding, body] of [
      ['gzip', gzipSync('text')],
      ['deflate', deflateSync('text')],
    ] as const) {
      const { messages } = await call('/t.T/Echo', grpcMessage(body, undefined, 1), {
        'grpc-encoding': encoding,
      });
      assert.equal(messages[0]!.body.toString(), 'text');
    }
    const compressed = grpcMessage(gzipSync('text'), undefined, 1);
    const refused = await call('/t.T/Echo', compressed, { 'grpc-encoding': 'br' });
    assert.equal(refused.status, status.UNIMPLEMENTED);
    assert.equal(refused.headers['grpc-accept-encoding'], 'identity,deflate,gzip');
    const unnamed = await call('/t.T/Echo', compressed);
    assert.equal(unnamed.status, status.INTERNAL);
    const damaged = await call('/t.T/Echo', grpcMessage(Buffer.from('no gzip'), undefined, 1), {
      'grpc-encoding': 'gzip',
    });
    assert.equal(damaged.status, status.INTERNAL);
  });

  it('refuses a message that inflates beyond the limit', async () => {
    const bomb = grpcMessage(gzipSync(Buffer.alloc(66 * 1024 * 1024)), undefined, 1);
    assert.equal(
      (await call('/t.T/Echo', bomb, { 'grpc-encoding': 'gzip' })).status,
      status.RESOURCE_EXHAUSTED,
    );
  });

  it('sends the status of a handler that throws, its message percent-encoded, and its trailers', async () => {
    const { status: code, headers } = await call('/t.T/Fail', grpcMessage(Buffer.alloc(1)));
    assert.equal(code, status.NOT_FOUND);
    assert.equal(headers['grpc-message'], 'no %C3%BCnit, 100 %25');
    assert.equal(headers['why'], 'gone');
  });

  it('answers UNIMPLEMENTED for a method that is not served, and for none or two messages where one is expected', async () => {
    assert.equal((await call('/t.T/Other', grpcMessage(Buffer.alloc(1)))).status, status.UNIMPLEMENTED);
    const one = grpcMessage(Buffer.alloc(1));
    assert.equal((await call('/t.T/Echo', Buffer.alloc(0))).status, status.UNIMPLEMENTED);
    assert.equal((await call('/t.T/Echo', Buffer.concat([one, one]))).status, status.UNIMPLEMENTED);
  });

  it('answers INTERNAL for a request that ends within a message, and for a grpc-timeout that is none', async () => {
    const one = grpcMessage(Buffer.alloc(10));
    assert.equal((await call('/t.T/Echo', one.subarray(0, 9))).status, status.INTERNAL);
    assert.equal((await call('/t.T/Echo', one, { 'grpc-timeout': 'soon' })).status, status.INTERNAL);
  });

  it('answers HTTP 415 to what is not gRPC', async () => {
    const { headers } = await call('/t.T/Echo', Buffer.from('{}'), { 'content-type': 'application/json' });
    assert.equal(headers[':status'], 415);
  });

  it('ends a call at its deadline and tells its handler, once', async () => {
    const { status: code } = await call('/t.T/Hang', grpcMessage(Buffer.alloc(1)), { 'grpc-timeout': '30m' });
    assert.equal(code, status.DEADLINE_EXCEEDED);
    assert.deepEqual(cancelled, ['cancelled true']);
  });

  it('tells the handler when the caller resets its call, and not when a call ends well', async () => {
    const session = connect();
    const stream = open(session, '/t.T/Hang');
    stream.on('error', () => {}).end(grpcMessage(Buffer.alloc(1)));
    await until('the handler hangs', () => received.length === 1);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await until('the handler is told', () => cancelled.length === 1);
    session.destroy();
    await call('/t.T/Talk', grpcMessage(Buffer.from('x')));
    assert.deepEqual(cancelled, ['cancelled true']);
  });

  it('hands on nothing while a stream is paused, holds its caller by flow control, and loses nothing', async () => {
    const session = connect();
    const stream = open(session, '/t.T/Talk');
    let answers = 0;
    stream.on('data', (chunk: Buffer) => {
      answers += chunk.length;
    });
    const message = grpcMessage(Buffer.alloc(10_000, 'b'));
    let taken = 0;
    for (let i = 0; i < 100; i++) stream.write(message, () => taken++);
    await until('the first message is handed on', () => received.length === 1);
    // The window is 64 KiB: with nothing read, the caller cannot have sent much more.
    await call('/t.T/Echo', grpcMessage(Buffer.alloc(1)));
    assert.equal(received.length, 1);
    assert.ok(taken < 60, `${taken} of 100 messages were taken from the caller`);
    opened!.resume();
    await until('all messages are handed on', () => received.length === 100);
    stream.end();
    await until('all answers came', () => answers === 100 * message.length);
    session.destroy();
  });

  it('is not writable while its caller does not read, and writes on when it does', async () => {
    const session = connect();
    const stream = open(session, '/t.T/Flood');
    stream.end(grpcMessage(Buffer.alloc(1)));
    await until('the handler writes', () => written > 0);
    await call('/t.T/Echo', grpcMessage(Buffer.alloc(1)));
    assert.ok(written < 100, `${written} messages were written`);
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await until('all of the response came', () => bytes === 400 * (16_384 + 5));
    session.destroy();
  });

  for (const [what, path] of [
    ['a response that goes on', '/t.T/Flood'],
    ['a response that is complete', '/t.T/Echo'],
  ] as const) {
    it(`resets ${what} at its deadline where its caller does not read, and holds nothing of it`, async () => {
      const session = connect();
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        te: 'trailers',
        'content-type': 'application/grpc',
        'grpc-timeout': '300m',
      });
      stream.on('error', () => {}).end(grpcMessage(Buffer.alloc(200_000)));
      await until('its window is full', () => server.heldBytes() > 50_000);
      await until('it is reset', () => stream.rstCode === http2.constants.NGHTTP2_CANCEL);
      await until('nothing is held', () => server.heldBytes() === 0);
      assert.equal(session.closed, false);
      session.destroy();
    });
  }

  it('finishes calls in flight when it stops, and takes no connection meanwhile', async () => {
    const session = connect();
    const stream = open(session, '/t.T/Talk');
    const answers: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => answers.push(chunk));
    stream.write(grpcMessage(Buffer.from('a')));
    await until('the message is handed on', () => received.length === 1);
    let isStopped = false;
    const stopped = server.stop().then(() => {
      isStopped = true;
    });
    await until('the client has read the GOAWAY', () => session.closed);
    assert.equal(isStopped, false);
    // The connection is refused: no status.
    assert.equal((await call('/t.T/Echo', grpcMessage(Buffer.alloc(1)))).status, -1);
    opened!.resume();
    stream.end(grpcMessage(Buffer.from('b')));
    await stopped;
    assert.deepEqual(received, ['a', 'b']);
  });

  describe('holds no more than its budget of memory', () => {
    let session: http2.ClientHttp2Session;
    let most: number;
    let watching: NodeJS.Timeout;
    beforeEach(() => {
      session = connect();
      most = 0;
      watching = setInterval(() => {
        most = Math.max(most, server.heldBytes());
      }, 1);
    });
    afterEach(() => {
      clearInterval(watching);
      session.destroy();
    });

    /** The status of a call that sends `body`, once it has one. */
    const begin = (path: string, body: Buffer, isWhole: boolean, headers = {}) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        te: 'trailers',
        'content-type': 'application/grpc',
        ...headers,
      });
      const ended = { status: -1, sent: () => stream.writableLength === 0 };
      const note = (fields: http2.IncomingHttpHeaders) => {
        if (fields['grpc-status'] !== undefined) ended.status = Number(fields['grpc-status']);
      };
      stream
        .on('response', note)
        .on('trailers', note)
        .on('error', () => {})
        .resume();
      if (isWhole) stream.end(body);
      else stream.write(body);
      return ended;
    };
    /** One after the other: each has come as a whole, or has been refused, before the next one begins. */
    const inTurn = async (path: string, isWhole: boolean) => {
      const calls = [];
      for (let i = 0; i < 8; i++) {
        const one = begin(path, grpcMessage(Buffer.alloc(4 * MIB)), isWhole);
        calls.push(one);
        await until('it has come', () => one.sent() || one.status !== -1);
        await new Promise((resolve) => session.ping(resolve));
      }
      return calls;
    };
    const statusesOf = (calls: readonly { status: number }[]) => calls.map((each) => each.status);

    async function assertShed(calls: readonly { status: number }[]): Promise<void> {
      const refused = () => statusesOf(calls).filter((each) => each === status.RESOURCE_EXHAUSTED).length;
      // 16 MiB hold four of them; what comes in the turn that exceeds them is a window of each call at most.
      await until('what is beyond the budget is refused', () => refused() >= calls.length - 4);
      assert.ok(most < 16 * MIB + calls.length * MIB, `${most} bytes were held`);
      assert.deepEqual(new Set(statusesOf(calls)), new Set([-1, status.RESOURCE_EXHAUSTED]));
      session.destroy();
      await until('nothing is held', () => server.heldBytes() === 0);
    }

    it('by messages that are inflated, which count while they grow', async () => {
      const bomb = grpcMessage(gzipSync(Buffer.alloc(4 * MIB)), undefined, 1);
      const calls = Array.from({ length: 20 }, () =>
        begin('/t.T/Hang', bomb, true, { 'grpc-encoding': 'gzip' }),
      );
      await assertShed(calls);
    });

    it('by whole messages whose callers do not end their side', async () => {
      await assertShed(await inTurn('/t.T/Echo', false));
    });

    it('by requests that wait for their answer', async () => {
      await assertShed(await inTurn('/t.T/Hang', true));
    });

    it('and serves what fits: ten messages of 600 KB at once, and one of 12 MB', async () => {
      const body = grpcMessage(gzipSync(Buffer.alloc(600_000)), undefined, 1);
      const headers = { 'grpc-encoding': 'gzip' };
      const ten = Array.from({ length: 10 }, () => begin('/t.T/Echo', body, true, headers));
      await until('all are answered', () => !statusesOf(ten).includes(-1));
      assert.deepEqual(new Set(statusesOf(ten)), new Set([status.OK]));
      const large = begin('/t.T/Echo', grpcMessage(Buffer.alloc(12_000_000)), true);
      await until('it is answered', () => large.status !== -1);
      assert.equal(large.status, status.OK);
      await until('nothing is held', () => server.heldBytes() === 0);
    });
  });

  it('says what the system says about an address that is taken', async () => {
    const { host, port } = address();
    const words = /^cannot listen on 127\.0\.0\.1:\d+: listen EADDRINUSE/;
    await assert.rejects(startEngine(table, { kind: 'tcp', host, port }, OPTIONS), ({ message }) =>
      words.test(message),
    );
  });

  it('takes as much metadata as a sidecar may let through', async () => {
    const { headers } = await call('/t.T/Echo', grpcMessage(Buffer.from('a')), {
      'x-much': 'm'.repeat(60_000),
    });
    assert.equal(headers[':status'], 200);
  });

  it('answers UNIMPLEMENTED to messages in another encoding, in the content type of the request', async () => {
    const type = 'application/grpc+json';
    const answer = await call('/t.T/Echo', grpcMessage(Buffer.from('{}')), { 'content-type': type });
    const { 'content-type': answered, 'grpc-status': code, 'grpc-message': why } = answer.headers;
    assert.deepEqual([answered, Number(code)], [type, status.UNIMPLEMENTED]);
    assert.match(String(why), /found content-type "application\/grpc\+json"/);
    const proto = { 'content-type': 'application/grpc+proto' };
    assert.equal((await call('/t.T/Echo', grpcMessage(Buffer.from('a')), proto)).status, status.OK);
  });
});
