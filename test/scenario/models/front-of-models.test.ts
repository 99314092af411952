/**
 * Several models behind one inbound side, each with a process of its own: calls go to the one they name, and what befalls
 * one is no matter of the others.
 */
import assert from 'node:assert/strict';
import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { healthQuestion } from '../../../sidecar/codec/health.js';
import { encodeMetadataRequest } from '../../../sidecar/codec/inference.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { HealthResponder } from '../../../sidecar/health/model/responder.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { runs } from '../../kit/mocha/effort.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type Backend,
  type CallOptions,
  type InboundOptions,
  type InboundStack,
  MESSAGE,
  PATH,
  Stack,
} from '../../kit/stack/stack.js';

const INFERENCE = '/inference.GRPCInferenceService';
const STREAM = `${INFERENCE}/ModelStreamInfer`;
const HEALTH = '/grpc.health.v1.Health';
const SERVING = '00000000020801';

describe('Scenario: the front of several models', () => {
  let stack: Stack;
  let side: InboundStack;
  let peer: Application;

  const open = (models: readonly string[] = ['digits', 'slow'], over: InboundOptions = {}): void => {
    stack = new Stack();
    side = stack.inbound(
      anInbound({
        queue: { concurrency: 1, maxWaiting: 4 },
        routes: [aStreamRoute({ methods: [STREAM] }), aRoute()],
        ...over,
      }),
      { models },
    );
    for (const name of models) model(name).answer = (stream) => stream.reply(Buffer.from(name));
    peer = stack.app(side.listener, 'app');
  };

  const model = (name: string): Backend => stack.backend(`model ${name}`);
  const slot = (name: string) => side.inbound.state.backends.find((each) => each.name === name)!;
  const ask = (options: CallOptions): PeerStream => stack.settle(peer.call(options));
  const infer = (name: string, options: CallOptions = {}): PeerStream =>
    ask({ body: anInferRequest(name), ...options });
  const seen = (): number[] => ['digits', 'slow'].map((name) => model(name).requests.length);
  /** A message of these fields, each a number and its bytes. */
  const message = (...fields: readonly (readonly [number, Buffer])[]): Buffer =>
    grpcMessage(
      fields.reduce((all, [number, value]) => all.bytes(number, value), new MessageWriter()).finish(),
    );
  const seenAs = (call: PeerStream) => [call.status, call.reason];
  const textOf = (path: string, body: Buffer): string => ask({ path, body }).body.toString();
  const said = (stream: PeerStream): string => decodeURIComponent(stream.trailer('grpc-message') ?? '');

  it('each call goes to the model that it names, and the answer is that model’s', () => {
    open();
    for (const name of ['digits', 'slow', 'digits']) {
      const call = infer(name);
      assert.deepEqual([call.status, call.body.toString()], [0, name]);
    }
    const question = grpcMessage(encodeMetadataRequest('slow', '1'));
    assert.equal(textOf(`${INFERENCE}/ModelMetadata`, question), 'slow');
    assert.deepEqual(seen(), [2, 2]);
    assert.deepEqual(model('digits').last.body, anInferRequest('digits'), 'as it was sent');
  });

  it('what is asked about a model goes to its process, whatever method asks', () => {
    open();
    for (const method of ['ModelReady', 'ModelMetadata', 'ModelConfig', 'ModelStatistics'])
      assert.equal(
        textOf(`${INFERENCE}/${method}`, grpcMessage(encodeMetadataRequest('slow', '1'))),
        'slow',
        method,
      );
    assert.deepEqual(seen(), [0, 4]);
  });

  it('hostile parameters between name and inputs change nothing: each call goes to its model', () => {
    open();
    const named = [1, Buffer.from('slow')] as const;
    const sequence = (value: string) =>
      new MessageWriter().text(1, 'sequence_id').message(2, new MessageWriter().text(3, value)).finish();
    const many = Array.from({ length: 16_000 }, () => [4, Buffer.from([0x0a, 0])] as const);
    for (const body of [
      message(named, ...many),
      message(named, [4, Buffer.from([0x0a, 200, 0x61])], [4, Buffer.from([0x12])]),
      message(named, [4, sequence('one')], [4, sequence('two')]),
      message([4, Buffer.alloc(60_000)], named),
    ])
      for (const path of [PATH, STREAM]) assert.equal(textOf(path, body), 'slow');
    assert.deepEqual(seen(), [0, 8]);
  });

  it('a busy model holds up no other model', () => {
    open();
    model('slow').answer = () => {};
    const held = [infer('slow'), infer('slow'), infer('slow')];
    assert.deepEqual([slot('slow').queue.running, slot('slow').queue.waiting], [1, 2]);
    for (let i = 0; i < 20; i++) assert.equal(infer('digits').status, 0);
    assert.ok(held.every(({ isOver }) => !isOver));
    model('slow').answer = (stream) => stream.reply();
    stack.settle(model('slow').last.reply());
    assert.ok(held.every(({ status }) => status === 0));
  });

  it('a model that is away turns away its own calls, with a word that keeps the others', () => {
    open();
    slot('slow').instances[0]!.setState({ kind: 'away', why: 'model.onnx is broken' });
    const away = infer('slow');
    const marks = [away.trailer('outrider-unprocessed'), away.trailer('outrider-model')];
    assert.deepEqual([...seenAs(away), ...marks], [14, 'model-not-ready', 'true', 'slow']);
    assert.equal(said(away), "model 'slow' of digits is not ready: model.onnx is broken");
    assert.equal(infer('digits').status, 0);
    slot('digits').instances[0]!.setState({ kind: 'away', why: 'it was killed' });
    for (const name of ['slow', 'digits'])
      assert.equal(infer(name).reason, 'model-unavailable', 'nothing is served');
    assert.deepEqual(seen(), [1, 0]);
  });

  it('calls wait for a model that starts, while others are answered', () => {
    open();
    slot('slow').instances[0]!.setState({ kind: 'starting' });
    const waiting = infer('slow');
    assert.equal(infer('digits').status, 0);
    assert.equal(waiting.isOver, false);
    stack.settle(slot('slow').instances[0]!.setState({ kind: 'ready' }));
    assert.equal(waiting.body.toString(), 'slow');
  });

  it('a model that is not there is NOT_FOUND in the protocol’s words, and no process is asked', () => {
    open();
    for (const name of ['letters', '', 'digit', 'digitsdigits']) {
      const call = infer(name);
      assert.deepEqual(seenAs(call), [5, 'unknown-model']);
      assert.equal(said(call), `Request for unknown model: '${name}' is not found`);
    }
    const asked = ask({ path: `${HEALTH}/Watch`, body: healthQuestion('letters') });
    assert.deepEqual([asked.status, said(asked)], [5, "unknown service 'letters'"]);
    assert.deepEqual(seen(), [0, 0]);
  });

  it('the name is read however the request is cut, and wherever it stands among the first 64 KiB', () => {
    open();
    const body = anInferRequest('slow', 3000);
    for (const at of [1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 60, 2900]) {
      const call = peer.call({ body: null });
      stack.settle(call.data(body.subarray(0, at), 0));
      stack.settle(call.data(body.subarray(at), Flag.endStream));
      assert.equal(call.body.toString(), 'slow', `cut at ${at}`);
    }
    const late = message([7, Buffer.alloc(50_000)], [2, Buffer.from('1')], [1, Buffer.from('slow')]);
    assert.equal(ask({ body: late }).body.toString(), 'slow');
    const tooLate = ask({ body: message([7, Buffer.alloc(70_000)], [1, Buffer.from('slow')]) });
    assert.deepEqual(seenAs(tooLate), [12, 'no-model-name']);
    assert.equal(ask({ body: message([7, Buffer.alloc(70_000)]) }).status, 5, 'there is none');
    assert.equal(ask({ body: message([1, Buffer.alloc(300, 0x61)]) }).status, 5, 'longer than any');
  });

  it('a large request is passed on whole', () => {
    open();
    const body = anInferRequest('slow', 602_112);
    const call = peer.call({ body: null });
    for (let at = 0; at < body.length; at += 16_000) {
      call.data(body.subarray(at, at + 16_000), at + 16_000 >= body.length ? Flag.endStream : 0);
      stack.run();
    }
    assert.equal(call.body.toString(), 'slow');
    assert.deepEqual(model('slow').last.body, body);
  });

  it('what is no message is INVALID_ARGUMENT, and no process is asked', () => {
    open();
    const bodies = [
      Buffer.alloc(0),
      Buffer.from([0, 0, 0]),
      Buffer.from([7, 0, 0, 0, 1, 0]),
      grpcMessage(Buffer.from([0x0a, 0x40, 0x61])),
      grpcMessage(Buffer.from([0x0b])),
      grpcMessage(Buffer.alloc(11, 0xff)),
      grpcMessage(Buffer.from([0x0a]), 3),
    ];
    for (const body of bodies) {
      const call = ask({ body });
      assert.deepEqual(seenAs(call), [3, 'no-model-name'], body.toString('hex'));
    }
    assert.deepEqual(seen(), [0, 0]);
  });

  describe('compressed', () => {
    const compressed = (name: string, bytes: number, how: 'gzip' | 'deflate'): CallOptions => {
      const plain = anInferRequest(name, bytes).subarray(5);
      const packed = how === 'gzip' ? gzipSync(plain) : deflateSync(plain);
      return { body: grpcMessage(packed, packed.length, 1), metadata: [['grpc-encoding', how]] };
    };

    it('requests are inflated as far as their name, and passed on as they came', () => {
      open();
      for (const how of ['gzip', 'deflate'] as const)
        for (const bytes of [28, 20_000, 5_000_000]) {
          const options = compressed('slow', bytes, how);
          const call = ask(options);
          assert.equal(call.body.toString(), 'slow', `${how} ${bytes}`);
          assert.deepEqual(model('slow').last.body, options.body);
          assert.equal(model('slow').last.header('grpc-encoding'), how);
        }
    });

    it('what cannot be read is refused with the reason', () => {
      open();
      const hidden = gzipSync(message([7, Buffer.alloc(70_000)], [1, Buffer.from('slow')]).subarray(5));
      const refused: [Buffer, string, number, RegExp][] = [
        [hidden, 'gzip', 12, /not within the first 65536 bytes/],
        [Buffer.from('abc'), 'snappy', 12, /compressed as 'snappy'; gzip and deflate can be read/],
        [Buffer.from('abc'), 'gzip', 3, /not compressed as 'gzip'/],
      ];
      for (const [packed, how, status, words] of refused) {
        const body = grpcMessage(packed, packed.length, 1);
        const call = ask({ body, metadata: [['grpc-encoding', how]] });
        assert.equal(call.status, status);
        assert.match(said(call), words);
      }
      assert.deepEqual(seen(), [0, 0]);
    });

    it('where there is one model, nothing is looked into', () => {
      open(['slow']);
      const body = grpcMessage(Buffer.from('abc'), 3, 1);
      assert.equal(ask({ body, metadata: [['grpc-encoding', 'snappy']] }).body.toString(), 'slow');
      assert.equal(infer('letters').body.toString(), 'slow', 'the model says itself what it does not know');
    });
  });

  describe('a stream', () => {
    const stream = (): PeerStream => peer.call({ path: STREAM, body: null });
    const sends = (call: PeerStream, body: Buffer, flags = 0): void => {
      stack.settle(call.data(body, flags));
    };

    it('goes where its first message says, as soon as that has come', () => {
      open();
      const call = stack.settle(stream());
      assert.deepEqual(seen(), [0, 0]);
      sends(call, anInferRequest('slow'));
      assert.deepEqual(seen(), [0, 1]);
      sends(call, anInferRequest('slow', 40_000));
      sends(call, message([2, Buffer.from('1')]));
      sends(call, anInferRequest('slow'), Flag.endStream);
      assert.deepEqual([call.status, call.body.toString()], [0, 'slow']);
    });

    it('ends with UNIMPLEMENTED where a later message names another', () => {
      open();
      for (const cut of [0, 1, 5, 8, 11]) {
        const call = stream();
        sends(call, anInferRequest('slow'));
        const other = anInferRequest('digits');
        if (cut > 0) sends(call, other.subarray(0, cut));
        sends(call, other.subarray(cut));
        assert.deepEqual(seenAs(call), [12, 'other-model'], `cut at ${cut}`);
        assert.match(said(call), /'slow version 1'.*'digits version 1'/);
      }
      const both = stream();
      sends(both, Buffer.concat([anInferRequest('slow'), anInferRequest('digits')]));
      assert.equal(both.reason, 'other-model');
    });
  });

  it('questions without a name are answered for all, or by any that is ready', () => {
    open();
    const known: Record<string, boolean | undefined> = { '': true, digits: true, slow: false };
    side.inbound.state.health = new HealthResponder((name) => known[name]);
    slot('digits').instances[0]!.setState({ kind: 'away', why: 'it is broken' });
    const server = (method: string): PeerStream =>
      ask({ path: `${INFERENCE}/${method}`, body: grpcMessage(Buffer.alloc(0)) });
    const check = (name: string): PeerStream => ask({ path: `${HEALTH}/Check`, body: healthQuestion(name) });
    for (const method of ['ServerLive', 'ServerReady'])
      assert.equal(server(method).body.toString('hex'), SERVING, method);
    assert.deepEqual(seen(), [0, 0]);
    for (const method of ['ServerMetadata', 'TraceSetting', 'LogSettings', 'CudaSharedMemoryStatus'])
      assert.equal(server(method).body.toString(), 'slow', method);
    assert.equal(textOf('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', MESSAGE), 'slow');
    const watch = ask({ path: `${HEALTH}/Watch`, body: healthQuestion('') });
    assert.deepEqual([watch.body.toString('hex'), watch.isOver], [SERVING, false]);
    stack.settle(watch.reset());
    assert.equal(check('').body.toString('hex'), SERVING);
    known[''] = undefined;
    assert.equal(check('').body.toString(), 'slow');
    known['slow'] = undefined;
    assert.equal(check('slow').body.toString(), 'slow');
    slot('slow').instances[0]!.setState({ kind: 'away', why: 'it is broken too' });
    assert.equal(server('ServerLive').body.toString('hex'), SERVING);
    assert.equal(server('ServerReady').body.toString('hex'), '0000000000');
    assert.equal(server('ServerMetadata').reason, 'model-unavailable');
  });

  it('a method that names no model is UNIMPLEMENTED, and says why', () => {
    open();
    const call = ask({ path: '/custom.Predictor/Predict' });
    assert.deepEqual(seenAs(call), [12, 'no-model-name']);
    assert.match(said(call), /each model of digits has a process of its own/);
    assert.deepEqual(seen(), [0, 0]);
  });

  it('whatever is sent, each call ends, and nothing is held for it', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => grpcMessage(bytes)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => grpcMessage(bytes, bytes.length, 1)),
      fc.constantFrom('digits', 'slow', 'letters', '').map((name) => anInferRequest(name)),
      fc.constantFrom('digits', 'slow').map((name) => {
        const packed = gzipSync(anInferRequest(name).subarray(5));
        return grpcMessage(packed, packed.length, 1);
      }),
    );
    const health = [`${HEALTH}/Check`, `${HEALTH}/Watch`];
    const methods = [PATH, STREAM, ...health, `${INFERENCE}/ServerReady`, '/x.Y/Z'];
    const calls = fc.array(
      fc.record({
        path: fc.constantFrom(...methods),
        bodies: fc.array(body, { maxLength: 3 }),
        cut: fc.integer({ min: 1, max: 400 }),
        isEnded: fc.boolean(),
        isGone: fc.boolean(),
        encoding: fc.constantFrom('gzip', 'deflate', 'snappy'),
      }),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(calls, fc.boolean(), (all, isAway) => {
        open();
        if (isAway) slot('slow').instances[0]!.setState({ kind: 'away', why: 'it is broken' });
        const streams = all.map(({ path, bodies, cut, isEnded, isGone, encoding }) => {
          const call = peer.call({
            path,
            timeout: '2S',
            metadata: [['grpc-encoding', encoding]],
            body: null,
          });
          const bytes = Buffer.concat(bodies);
          for (let at = 0; at < bytes.length && !call.isOver; at += cut)
            stack.settle(call.data(bytes.subarray(at, at + cut), 0));
          if (isGone && !call.isOver) call.reset(8);
          else if (isEnded && !call.isOver) call.data(Buffer.alloc(0), Flag.endStream);
          stack.run();
          return { call, isGone };
        });
        stack.advance(3_000);
        for (const { call, isGone } of streams) assert.ok(isGone || call.isOver);
        stack.close();
      }),
      { numRuns: runs(30) },
    );
  });

  it('the rate of a caller counts over all models', () => {
    open(['digits', 'slow'], { rateLimits: [{ callers: ['app'], methods: ['*'], perSecond: 1, burst: 2 }] });
    const reasons = ['digits', 'slow', 'digits', 'slow'].map((name) => infer(name).reason);
    assert.deepEqual(reasons, [undefined, undefined, 'rate-limited', 'rate-limited']);
  });
});
