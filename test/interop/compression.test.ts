/**
 * Compressed messages pass through two sidecars untouched: the flag, the encoding and the bytes.
 *
 * Sizes and order are those of the gRPC project's compression cases.
 */

import assert from 'node:assert/strict';
import { Metadata } from '@grpc/grpc-js';
import { Caller, deadline, finish } from '../kit/interop/client.js';
import { afterTest } from '../kit/mocha/after-test.js';
import { type Pair, startPair } from '../kit/process/sidecars.js';
import { inflate, methodOf, startCompressedService, wire } from '../kit/service/compressed-service.js';
import { type FramedReply, framedCall } from '../kit/service/framed-client.js';
import type {
  SimpleRequest,
  SimpleResponse,
  StreamingInputCallRequest,
  StreamingInputCallResponse,
  StreamingOutputCallRequest,
  StreamingOutputCallResponse,
} from '../kit/service/test-proto.js';

const INVALID_ARGUMENT = 3;
const GZIP = 2;
/** grpc-js's WriteFlags.NoCompress. */
const NO_COMPRESS = 2;
const zeros = (size: number): { body: Buffer } => ({ body: Buffer.alloc(size) });
const flag = (value: boolean): { value: boolean } => ({ value });

describe('compression through two sidecars with mutual TLS', () => {
  let service: Awaited<ReturnType<typeof startCompressedService>>;
  let pair: Pair;

  before(async () => {
    service = await startCompressedService();
    pair = await startPair({ local: service.address });
  });
  after(async () => {
    await pair?.close();
    service.close();
  });

  function unary(request: SimpleRequest, isCompressed: boolean): Promise<FramedReply> {
    const method = methodOf<SimpleRequest, SimpleResponse>('UnaryCall');
    return framedCall(pair.target, {
      path: '/grpc.testing.TestService/UnaryCall',
      body: wire(method.requestSerialize(request), isCompressed),
      headers: { 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'identity,gzip' },
    });
  }

  it('client_compressed_unary: the probe fails, then each flag is honoured', async () => {
    const request = { response_size: 314_159, payload: zeros(271_828) };
    const probe = await unary({ ...request, expect_compressed: flag(true) }, false);
    assert.equal(probe.status, INVALID_ARGUMENT);
    for (const compressed of [true, false]) {
      const reply = await unary({ ...request, expect_compressed: flag(compressed) }, compressed);
      assert.equal(reply.status, 0);
      assert.equal(reply.messages[0]?.compressed, false);
    }
  });

  it('server_compressed_unary: the answer keeps its flag and its encoding', async () => {
    const method = methodOf<SimpleRequest, SimpleResponse>('UnaryCall');
    for (const compressed of [true, false]) {
      const reply = await unary({ response_size: 314_159, response_compressed: flag(compressed) }, false);
      const message = reply.messages[0];
      assert.equal(reply.status, 0);
      assert.equal(message?.compressed, compressed);
      assert.equal(reply.headers['grpc-encoding'], 'gzip');
      const body = method.responseDeserialize(inflate(message, 'gzip'));
      assert.equal(body.payload?.body.length, 314_159);
    }
  });

  it('server_compressed_streaming: the first compressed, the second not', async () => {
    const method = methodOf<StreamingOutputCallRequest, StreamingOutputCallResponse>('StreamingOutputCall');
    const request = {
      response_parameters: [
        { size: 31_415, compressed: flag(true) },
        { size: 92_653, compressed: flag(false) },
      ],
    };
    const reply = await framedCall(pair.target, {
      path: '/grpc.testing.TestService/StreamingOutputCall',
      body: wire(method.requestSerialize(request), false),
      headers: { 'grpc-accept-encoding': 'gzip' },
    });
    assert.equal(reply.status, 0);
    assert.deepEqual(
      reply.messages.map((message) => [
        message.compressed,
        method.responseDeserialize(inflate(message, 'gzip')).payload?.body.length,
      ]),
      [
        [true, 31_415],
        [false, 92_653],
      ],
    );
  });

  it('client_compressed_streaming: grpc-js compresses message by message', async () => {
    const caller = new Caller(pair.target, { 'grpc.default_compression_algorithm': GZIP });
    afterTest(() => caller.close());
    const reply = await finish<StreamingInputCallResponse>((done) => {
      const call = caller.stub.StreamingInputCall(new Metadata(), deadline({}), done);
      const first: StreamingInputCallRequest = { payload: zeros(27_182), expect_compressed: flag(true) };
      const second: StreamingInputCallRequest = { payload: zeros(45_904), expect_compressed: flag(false) };
      call.write(first);
      call.write(second, NO_COMPRESS, () => {});
      call.end();
      return call;
    });
    assert.equal(reply.code, 0, reply.details);
    assert.equal(reply.value?.aggregated_payload_size, 73_086);
  });

  it('client_compressed_streaming: the probe fails', async () => {
    const method = methodOf<StreamingInputCallRequest, StreamingInputCallResponse>('StreamingInputCall');
    const message = method.requestSerialize({ payload: zeros(27_182), expect_compressed: flag(true) });
    const reply = await framedCall(pair.target, {
      path: '/grpc.testing.TestService/StreamingInputCall',
      body: wire(message, false),
    });
    assert.equal(reply.status, INVALID_ARGUMENT);
  });
});
