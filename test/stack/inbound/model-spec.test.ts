/** Limits and intentions about single models before TensorFlow Serving, whose requests name theirs in a message of their own. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, assertUnprocessed, statusesOf } from '../../kit/stack/call-ends.js';
import { ModelStack, type ModelStackOptions } from '../../kit/stack/model-stack.js';
import { aRoute, type CallOptions, type InboundOptions } from '../../kit/stack/stack.js';

const PREDICT = '/tensorflow.serving.PredictionService/Predict';
const message = (): MessageWriter => new MessageWriter();

/** A `ModelSpec`, its fields in the order of their numbers. */
function spec(name: string, version = 0): MessageWriter {
  const named = message().text(1, name);
  return version === 0 ? named : named.message(2, message().number(1, version));
}

/** A request of Predict, whose inputs have the number that a version has elsewhere. */
function request(...specs: MessageWriter[]): Buffer {
  const body = message();
  for (const each of specs) body.message(1, each);
  return body.message(2, message().text(1, 'x').bytes(2, Buffer.alloc(20))).finish();
}

describe('Inbound, by the model of TensorFlow Serving', () => {
  let stack: ModelStack;
  const start = (over: InboundOptions, options: ModelStackOptions = {}): void => {
    stack = new ModelStack({ routes: [aRoute()], ...over }, options);
    stack.model.answer = (stream) => stream.reply();
  };
  const send = (body: Buffer, options: CallOptions = {}): PeerStream =>
    stack.call({ path: PREDICT, body: grpcMessage(body), ...options });
  const predict = (name: string, version = 0): PeerStream => send(request(spec(name, version)));
  afterEach(() => stack.close());

  const ofLarge = { callers: ['*'], methods: ['*'], models: ['large'], perSecond: 1, burst: 1 };

  it('a rate limit holds for a model, and for a version of it', () => {
    start({ rateLimits: [ofLarge] });
    assert.deepEqual(
      statusesOf(['large', 'small', 'large', 'small', ''].map((name) => predict(name))),
      [0, 0, 8, 0, 0],
    );
    stack.close();
    start({ rateLimits: [{ ...ofLarge, version: '3' }] });
    assert.deepEqual(statusesOf([3, 2, 3, 0].map((version) => predict('large', version))), [0, 0, 8, 0]);
    stack.assertIdle();
    stack.close();
    start({ rateLimits: [{ ...ofLarge, version: '0' }] });
    // As encoders write version 0: a message without its number.
    const ofZero = request(message().text(1, 'large').bytes(2, Buffer.alloc(0)));
    assert.deepEqual(statusesOf([send(ofZero), predict('large'), send(ofZero)]), [0, 0, 8]);
  });

  it('a large request is counted by its name, wherever that is cut, and wherever its inputs stand', () => {
    start({ rateLimits: [ofLarge] });
    const inputs = message().bytes(2, Buffer.alloc(600_000)).finish();
    const body = grpcMessage(Buffer.concat([request(spec('large', 3)), inputs]));
    const call = (first: number): PeerStream => {
      const sent = stack.call({ path: PREDICT, body: null });
      stack.settle(sent.data(body.subarray(0, first)));
      for (let at = first; at < body.length && !sent.isOver; at += 16_000)
        stack.settle(
          sent.data(body.subarray(at, at + 16_000), at + 16_000 < body.length ? 0 : Flag.endStream),
        );
      return sent;
    };
    assert.deepEqual(statusesOf([call(16_000), call(6), call(9), call(12)]), [0, 8, 8, 8]);
    const late = Buffer.concat([inputs, request(spec('large'))]);
    assertUnprocessed(send(late), [8, 'rate-limited'], { 'grpc-message': /cannot be read/ });
  });

  it('a model has a queue of its own', () => {
    start({ queue: { concurrency: 2, maxWaiting: 0, models: [{ model: 'large', concurrency: 1 }] } });
    stack.model.answer = () => {};
    assert.deepEqual(
      statusesOf(['large', 'large', 'small', 'small', 'small'].map((name) => predict(name))),
      [-1, 8, -1, -1, 8],
    );
  });

  it('a caller gets the models that it may have: no second name, no label and no other method leads to more', () => {
    start({ intentions: [{ from: 'app', to: 'digits', action: 'allow', models: ['a'] }] });
    const status = '/tensorflow.serving.ModelService/GetModelStatus';
    const own = [
      request(spec('a')),
      request(spec('a', 3)),
      request(message().text(4, 'stable').text(1, 'a')),
    ];
    assert.deepEqual(
      statusesOf([...own.map((body) => send(body)), send(request(spec('a')), { path: status })]),
      [0, 0, 0, 0],
    );
    const { length } = stack.requests;
    const others = [
      request(spec('b')),
      request(spec('a'), spec('b')),
      request(spec('a'), message().number(9, 1)),
      request(message().text(1, 'a').text(1, 'b')),
      request(message()),
      request(message().text(1, 'a').text(3, 's'.repeat(5_000))),
      Buffer.concat([Buffer.from([0x0a, 4, 0x0a, 9]), request()]),
      Buffer.alloc(0),
    ];
    for (const body of others) assertEnd(send(body), [7, 'not-allowed']);
    const packed = gzipSync(request(spec('b')));
    const metadata = [['grpc-encoding', 'gzip']] as const;
    assertEnd(send(packed, { body: grpcMessage(packed, packed.length, 1), metadata }), [7, 'not-allowed'], {
      'grpc-message': /'b' is none of them/,
    });
    const both = '/tensorflow.serving.PredictionService/MultiInference';
    for (const path of [both, '/tensorflow.serving.ModelService/HandleReloadConfigRequest', status])
      assertEnd(send(request(spec('b')), { path }), [7, 'not-allowed']);
    assert.equal(stack.requests.length, length, 'the server has seen none of them');
  });

  it('MultiInference counts for a limit on a model, as it could be for any', () => {
    start({ rateLimits: [ofLarge] });
    const path = '/tensorflow.serving.PredictionService/MultiInference';
    assert.equal(send(request(spec('small')), { path }).status, 0);
    assertUnprocessed(send(request(spec('small')), { path }), [8, 'rate-limited'], {
      'grpc-message': /^app calls a model whose name cannot be read \(each task names one\)/,
    });
    assert.equal(predict('small').status, 0);
  });

  it('where each model has a process, a request goes to the one that it names', () => {
    start({}, { models: ['large', 'small'] });
    for (const model of ['large', 'small'])
      stack.backend(`model ${model}`).answer = (stream) => stream.reply(Buffer.from(model));
    assert.deepEqual(
      ['small', 'large'].map((name) => predict(name).body.toString()),
      ['small', 'large'],
    );
    assert.equal(predict('other').status, 5);
  });
});
