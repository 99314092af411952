/** Streams of compressed messages: what each of them names counts for limits and intentions about single models. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { data, Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import { assertEnd, assertUnprocessed } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { aRoute, aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer';
const ROUTES = [aStreamRoute({ methods: [STREAM] }), aRoute()];

function zipped(message: Buffer): Buffer {
  const packed = gzipSync(message);
  return grpcMessage(packed, packed.length, 1);
}

/** A compressed request for this model, with an input of so many bytes. */
const ask = (model: string, bytes?: number): Buffer => zipped(anInferRequest(model, bytes).subarray(5));

/** A request that stays longer than 64 KiB when it is compressed. */
function incompressible(model: string): Buffer {
  const random = seeded(1);
  const message = anInferRequest(model, 100_000).subarray(5);
  for (let i = message.length - 100_000; i < message.length; i++) message[i] = random() * 256;
  return zipped(message);
}

describe('Inbound, by the model of compressed messages', () => {
  let stack: ModelStack;
  const start = (over: InboundOptions): void => {
    stack = new ModelStack({ routes: ROUTES, ...over });
    stack.model.answer = (stream) => stream.reply();
  };
  const open = (encoding = 'gzip'): PeerStream =>
    stack.settle(
      stack.peer.call({ path: STREAM, body: null, metadata: [['grpc-encoding', encoding]] as const }),
    );
  /** In reads of so many bytes. */
  const send = (stream: PeerStream, messages: readonly Buffer[], length = 16_000): PeerStream => {
    const body = Buffer.concat(messages);
    for (let at = 0; at < body.length && !stream.isOver; at += length)
      stack.settle(stream.data(body.subarray(at, at + length)));
    return stream;
  };
  const end = (stream: PeerStream): number => {
    stack.settle(stream.data(Buffer.alloc(0), Flag.endStream));
    return stream.status;
  };
  afterEach(() => {
    stack.assertIdle();
    stack.close();
  });

  describe('a rate limit', () => {
    const limited = (): void =>
      start({ rateLimits: [{ callers: ['*'], methods: ['*'], models: ['large'], perSecond: 1, burst: 1 }] });
    const refused = (stream: PeerStream, message: RegExp): void =>
      assertUnprocessed(stream, [8, 'rate-limited'], { 'grpc-message': message });
    /** A stream whose first messages the model has seen. */
    const refusedMidway = (stream: PeerStream, message: RegExp): void =>
      assertEnd(stream, [8, 'stream-rate-limited'], {
        'grpc-message': message,
        'outrider-unprocessed': undefined,
      });

    it('counts each time the stream goes on with the model, however its messages are cut', () => {
      for (const length of [1, 7, 16_000]) {
        limited();
        const stream = send(
          open(),
          [ask('small'), ask('small'), ask('large'), ask('large'), ask('small')],
          length,
        );
        assert.equal(stream.isOver, false, `${length}`);
        refusedMidway(send(stream, [ask('large')], length), /model 'large'/);
        assert.equal(end(send(open(), [ask('small'), anInferRequest('small'), ask('small')], length)), 0);
        if (length < 16_000) stack.close();
      }
    });

    for (const length of [16_384, 1_000])
      it(`takes no more than its share of a turn, in frames of ${length} bytes`, () => {
        limited();
        const stream = send(open(), [ask('small')]);
        const body = Buffer.concat(new Array(700).fill(ask('small')));
        const frames: Buffer[] = [];
        for (let at = 0; at < body.length; at += length)
          frames.push(data(stream.id, body.subarray(at, at + length)));
        const request = stack.requests[0]!;
        const before = request.bytes;
        stack.peer.send(Buffer.concat(frames));
        let most = 0;
        for (let had = before; stack.turn(); had = request.bytes) most = Math.max(most, request.bytes - had);
        assert.equal(request.bytes - before, body.length);
        assert.ok(most <= 2 * 16_384, `${most} of ${body.length} bytes in one turn`);
        assert.equal(end(stream), 0);
      });

    it('counts the first message, whatever of the next ones comes in the same read', () => {
      const first = ask('large');
      for (const cut of [first.length, first.length + 1, first.length + 9]) {
        limited();
        assert.equal(end(send(open(), [first, ask('small')], cut)), 0);
        refused(send(open(), [first, ask('small')], cut), /model 'large'/);
        if (cut < first.length + 9) stack.close();
      }
    });

    it('counts messages that are not read, once for those in a row, and says why', () => {
      const long = /compressed message has more than 65536 bytes/;
      for (const [message, why] of [
        [ask('small', 200_000), long],
        [incompressible('small'), long],
        [grpcMessage(Buffer.from('no gzip'), 7, 1), /the bytes are not compressed as 'gzip'/],
      ] as const) {
        limited();
        const stream = send(open(), [ask('small'), message, message]);
        assert.equal(stream.isOver, false);
        refusedMidway(send(stream, [ask('small'), message]), why);
        stack.close();
      }
      limited();
      const strange = send(open('snappy'), [anInferRequest('small'), ask('small'), anInferRequest('small')]);
      refusedMidway(send(strange, [ask('small')]), /compressed as 'snappy'/);
    });

    it('is not passed by where there is no memory to inflate a message that comes in pieces', () => {
      limited();
      const { memory } = stack.context;
      const taken = memory.limit - memory.held - 32_768;
      const stream = send(open(), [ask('small')]);
      memory.force(taken);
      assert.equal(send(stream, [ask('small')], 16).isOver, false, 'one that could not be read');
      refusedMidway(send(stream, [anInferRequest('small'), ask('small')], 16), /no memory to inflate/);
      memory.release(taken);
    });

    it('refuses a second name in a later message', () => {
      limited();
      const both = Buffer.concat([anInferRequest('small').subarray(5), anInferRequest('large').subarray(5)]);
      const stream = send(open(), [ask('small'), zipped(both)]);
      assertEnd(stream, [3, 'no-model-name'], { 'grpc-message': /more than one model/ });
    });

    it('lets a compressed message after a unary request pass to the model, which judges it', () => {
      limited();
      const body = Buffer.concat([anInferRequest('small'), ask('large')]);
      const call = stack.call({ path: '/inference.GRPCInferenceService/ModelInfer', body });
      assert.equal(call.status, 0);
    });
  });

  describe('an intention', () => {
    beforeEach(() =>
      start({ intentions: [{ from: 'app', to: 'digits', action: 'allow', models: ['a', 'b'] }] }),
    );

    it('lets such a stream pass with the model that it began with, however it is cut', () => {
      for (const length of [1, 16_000])
        assert.equal(
          end(send(open(), [ask('a'), ask('a', 40_000), anInferRequest('a'), ask('a')], length)),
          0,
        );
    });

    it('holds each of its messages to it', () => {
      for (const model of ['b', 'c', ''])
        for (const length of [1, 16_000])
          assertEnd(send(open(), [ask('a'), ask(model)], length), [12, 'other-model']);
      assertEnd(send(open(), [ask('c')]), [7, 'not-allowed']);
      assert.equal(stack.requests.filter(({ isEnded }) => isEnded).length, 0, 'the model has no whole one');
    });

    it('refuses what cannot be read, and says why', () => {
      const why = { 'grpc-message': /the name of the model cannot be read: the compressed message has more/ };
      assertEnd(send(open(), [ask('a'), ask('a', 200_000)]), [7, 'not-allowed'], why);
      assertEnd(send(open(), [ask('a', 200_000)]), [7, 'not-allowed'], why);
      assertEnd(send(open('snappy'), [ask('a')]), [7, 'not-allowed'], { 'grpc-message': /'snappy'/ });
    });
  });
});
