/**
 * Compressed messages pass through two sidecars untouched: the flag, the encoding and the bytes.
 *
 * Sizes and order are those of the gRPC project's compression cases.
 */

import assert from 'node:assert/strict';
import { Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { Caller, deadline, finish } from '../kit/interop/client.js';
import { suitePair } from '../kit/interop/suites.js';
import { afterTest } from '../kit/mocha/after-test.js';
import { inflate, startCompressedService, wire } from '../kit/service/compressed-service.js';
import { type FramedReply, framedCall } from '../kit/service/framed-client.js';
import { methodOf, type StreamingInputCallResponse } from '../kit/service/test-proto.js';
import { zeros } from '../kit/service/test-service.js';

const INVALID_ARGUMENT = 3;
const GZIP = 2;
/** grpc-js's WriteFlags.NoCompress. */
const NO_COMPRESS = 2;
const flag = (value: boolean): { value: boolean } => ({ value });

describe('compression through two sidecars with mutual TLS', () => {
  const suite = suitePair(startCompressedService);
  const headers = { 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'identity,gzip' };
  const call = <Request>(
    method: Pick<MethodDefinition<Request, unknown>, 'path' | 'requestSerialize'>,
    request: Request,
    isCompressed = false,
  ): Promise<FramedReply> =>
    framedCall(suite.pair.target, {
      path: method.path,
      body: wire(method.requestSerialize(request), isCompressed),
      headers,
    });
  const unary = methodOf('UnaryCall');
  const input = methodOf('StreamingInputCall');
  const output = methodOf('StreamingOutputCall');

  it('client_compressed_unary: the probe fails, then each flag is honoured', async () => {
    const request = { response_size: 314_159, payload: zeros(271_828) };
    const probe = await call(unary, { ...request, expect_compressed: flag(true) });
    assert.equal(probe.status, INVALID_ARGUMENT);
    for (const compressed of [true, false]) {
      const reply = await call(unary, { ...request, expect_compressed: flag(compressed) }, compressed);
      assert.equal(reply.status, 0);
      assert.equal(reply.messages[0]?.compressed, false);
    }
  });

  it('server_compressed_unary: the answer keeps its flag and its encoding', async () => {
    for (const compressed of [true, false]) {
      const request = { response_size: 314_159, response_compressed: flag(compressed) };
      const { status, headers: got, messages } = await call(unary, request);
      assert.deepEqual([status, got['grpc-encoding'], messages[0]!.compressed], [0, 'gzip', compressed]);
      const body = unary.responseDeserialize(inflate(messages[0]!, 'gzip'));
      assert.equal(body.payload?.body.length, 314_159);
    }
  });

  it('server_compressed_streaming: the first compressed, the second not', async () => {
    const sizes = [31_415, 92_653];
    const response_parameters = sizes.map((size, i) => ({ size, compressed: flag(i === 0) }));
    const { status, messages } = await call(output, { response_parameters });
    assert.equal(status, 0);
    const got = messages.map((message) => {
      const { payload } = output.responseDeserialize(inflate(message, 'gzip'));
      return [message.compressed, payload?.body.length];
    });
    assert.deepEqual(got.flat(), [true, sizes[0], false, sizes[1]]);
  });

  it('client_compressed_streaming: grpc-js compresses message by message', async () => {
    const caller = new Caller(suite.pair.target, { 'grpc.default_compression_algorithm': GZIP });
    afterTest(() => caller.close());
    const reply = await finish<StreamingInputCallResponse>((done) => {
      const stream = caller.stub.StreamingInputCall(new Metadata(), deadline(), done);
      stream.write({ payload: zeros(27_182), expect_compressed: flag(true) });
      const second = { payload: zeros(45_904), expect_compressed: flag(false) };
      stream.write(second, NO_COMPRESS, () => {});
      stream.end();
      return stream;
    });
    assert.equal(reply.code, 0, reply.details);
    assert.equal(reply.value?.aggregated_payload_size, 73_086);
  });

  it('client_compressed_streaming: the probe fails', async () => {
    const reply = await call(input, { payload: zeros(27_182), expect_compressed: flag(true) });
    assert.equal(reply.status, INVALID_ARGUMENT);
  });
});
