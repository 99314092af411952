/** Limits and intentions that are about single models, read from the name in the request, before one server that has them all. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import type { IntentionConfig, RateLimitConfig } from '../../../sidecar/config/model.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import { assertEnd, assertUnprocessed, statusesOf } from '../../kit/stack/call-ends.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { ModelStack, type ModelStackOptions } from '../../kit/stack/model-stack.js';
import { aRoute, aStreamRoute, type CallOptions, type InboundOptions } from '../../kit/stack/stack.js';

const INFERENCE = '/inference.GRPCInferenceService';
const STREAM = `${INFERENCE}/ModelStreamInfer`;
const ROUTES = [aStreamRoute({ methods: [STREAM] }), aRoute()];
const ANY: readonly IntentionConfig[] = [{ from: '*', to: 'digits', action: 'allow' }];

/** Fields 1 and 2 of a request, as every encoder writes them. */
function versioned(model: string, version: string): Buffer {
  const fields = [model, version].map((text, i) =>
    Buffer.concat([Buffer.from([8 * (i + 1) + 2, text.length]), Buffer.from(text)]),
  );
  return grpcMessage(Buffer.concat(fields));
}

describe('Inbound, by model', () => {
  let stack: ModelStack;
  const start = (over: InboundOptions = {}, options: ModelStackOptions = {}): void => {
    stack = new ModelStack({ routes: ROUTES, ...over }, options);
  };
  const infer = (model: string, options: CallOptions = {}): PeerStream =>
    stack.call({ path: `${INFERENCE}/ModelInfer`, body: anInferRequest(model), ...options });
  const some = (n: number, model: string): PeerStream[] => Array.from({ length: n }, () => infer(model));
  const answers = (): void => {
    stack.model.answer = (stream) => stream.reply();
  };
  const rowsOf = (name: string) =>
    metricsIn(stack, { inbound: stack.side.inbound.state })
      .find((each) => each.name === name)!
      .samples.map(({ labels, ...sample }) => [
        labels?.['model'] ?? '',
        labels?.['version'] ?? '',
        'value' in sample ? sample.value : Number.NaN,
      ]);

  describe('limits', () => {
    const queue = {
      concurrency: 2,
      maxWaiting: 1,
      models: [
        { model: 'large', concurrency: 1, maxWaiting: 1 },
        { model: 'large', version: '9', maxWaiting: 0 },
      ],
    };

    it('a model has a queue of its own, and what it takes is not taken from the others', () => {
      start({ queue });
      const large = some(3, 'large');
      assert.equal(stack.requests.length, 1, 'one at once');
      assertUnprocessed(large[2]!, [8, 'overloaded'], { 'grpc-message': /1 calls are waiting/ });
      const others = [...some(2, 'small'), ...some(2, 'other')];
      assert.equal(stack.requests.length, 3, 'two of all others');
      assertUnprocessed(others[3]!, [8, 'overloaded']);
      assert.deepEqual(rowsOf('outrider_queue_running'), [
        ['', '', 2],
        ['large', '', 1],
        ['large', '9', 0],
      ]);
      assert.deepEqual(
        rowsOf('outrider_queue_waiting').map(([, , waiting]) => waiting),
        [1, 1, 0],
      );
      answers();
      for (const request of stack.requests) stack.settle(request.reply());
      assert.deepEqual(statusesOf([...large, ...others]), [0, 0, 8, 0, 0, 0, 8]);
      stack.assertIdle();
    });

    it('what names no model, or none that can be read, is one of the others', () => {
      start({ queue });
      infer('large');
      const methods = [{ path: '/shop.Prices/Predict' }, { body: grpcMessage(Buffer.from('no message')) }];
      for (const options of methods) infer('large', options);
      assert.deepEqual(
        rowsOf('outrider_queue_running').map(([, , running]) => running),
        [2, 1, 0],
      );
      answers();
      for (const request of stack.requests) stack.settle(request.reply());
      stack.assertIdle();
    });

    it('a file that says other limits is taken over, also for calls that wait', () => {
      start({ queue });
      const large = some(2, 'large');
      const reload = (models: (typeof queue)['models']): void =>
        stack.reload({ routes: ROUTES, queue: { ...queue, models } });
      reload([{ model: 'large', concurrency: 2, maxWaiting: 1 }]);
      assert.equal(stack.requests.length, 2);
      const waiting = infer('large');
      reload([]);
      assert.deepEqual(rowsOf('outrider_queue_running'), [['', '', 0]]);
      some(2, 'large');
      assert.equal(stack.requests.length, 4, 'the calls from before are not of this queue');
      answers();
      for (const request of stack.requests) stack.settle(request.reply());
      assert.deepEqual(statusesOf([...large, waiting]), [0, 0, 0]);
      stack.assertIdle();
    });

    it('a queue that a file takes away goes on for its streams, silent ones as well', () => {
      start({ queue });
      const body = anInferRequest('large');
      const talk = () => {
        const near = stack.settle(stack.peer.call({ path: STREAM, body: null }).data(body));
        const far = stack.settle(stack.requests.at(-1)!.begin());
        stack.advance(1_010);
        return [near, far] as const;
      };
      const [one, other] = [talk(), talk()];
      stack.reload({ routes: ROUTES, queue: { ...queue, models: [] } });
      stack.settle(one[0].data(body));
      stack.settle(other[0].data(body));
      assert.deepEqual([one[1].bytes, other[1].bytes], [2 * body.length, body.length], 'one at once');
      stack.advance(1_010);
      assert.equal(other[1].bytes, 2 * body.length, 'the other one is silent again');
      for (const [near, far] of [one, other]) {
        far.trailers(0);
        stack.settle(near.end());
      }
    });

    it('no counter of a queue goes back when its model is loaded again', () => {
      start({ queue }, { models: ['large', 'small'] });
      stack.backend('model large').answer = (stream) => stream.reply();
      const bodies = [anInferRequest('large'), versioned('large', '9')];
      assert.deepEqual(statusesOf(bodies.map((body) => infer('large', { body }))), [0, 0]);
      const rows = [
        ['large', '', 1],
        ['large', '9', 1],
        ['small', '', 0],
      ];
      assert.deepEqual(rowsOf('outrider_queue_admitted_total').sort(), rows);
      const { inbound, backend, pools } = stack.side;
      inbound.state.addModel({ name: 'large', pools: pools.slice(0, 1) });
      inbound.state.removeModel(backend);
      assert.deepEqual(rowsOf('outrider_queue_admitted_total').sort(), rows);
    });

    it('in one queue, calls for a model go before those for others, as their class is that of their model', () => {
      const models = [{ model: 'large', class: 'batch' }];
      const priority = {
        key: 'x-class',
        classes: ['interactive', 'batch'],
        defaultClass: 'interactive',
        models,
      };
      start({ queue: { concurrency: 1, maxWaiting: 10, priority } });
      const order: string[] = [];
      infer('first');
      for (const model of ['large', 'small', 'large', 'small']) infer(model);
      infer('large', { metadata: [['x-class', 'interactive']] });
      infer('', { path: '/shop.Prices/List', body: grpcMessage(Buffer.from('no message')) });
      stack.model.answer = (stream) => {
        order.push(['large', 'small'].find((model) => stream.body.includes(model)) ?? 'none');
        stream.reply();
      };
      stack.settle(stack.requests[0]!.reply());
      assert.deepEqual(order, ['small', 'small', 'large', 'none', 'large', 'large']);
      stack.reload({ routes: ROUTES, queue: { concurrency: 1, maxWaiting: 10 } });
      assert.equal(infer('large').status, 0);
      stack.assertIdle();
    });

    it('wait while the model starts, and are refused when it does not', () => {
      start({ queue }, { ready: false });
      const calls = [infer('large'), infer('small')];
      assert.equal(stack.requests.length, 0);
      stack.side.instance.setState({ kind: 'away', why: 'it does not load' });
      stack.run();
      assert.deepEqual(statusesOf(calls), [14, 14]);
    });

    it('a stream is of the model of its first message, and may go on with another', () => {
      start({ queue });
      const stream = infer('large', { path: STREAM, body: null });
      stack.settle(stream.data(anInferRequest('large')));
      assert.deepEqual(
        rowsOf('outrider_queue_running').map(([, , running]) => running),
        [0, 1, 0],
      );
      stack.settle(stream.data(anInferRequest('small'), Flag.endStream));
      stack.settle(stack.requests[0]!.reply());
      assert.equal(stream.status, 0);
      stack.assertIdle();
    });
  });

  describe('rate limits', () => {
    const limits = (over: Partial<RateLimitConfig> = {}): InboundOptions => ({
      rateLimits: [{ callers: ['*'], methods: ['*'], models: ['large'], perSecond: 2, burst: 2, ...over }],
    });
    const limited = (over: Partial<RateLimitConfig> = {}, options: ModelStackOptions = {}): void => {
      start(limits(over), options);
      answers();
    };
    const refused = (call: PeerStream, message: RegExp, waitMs = '500'): void =>
      assertUnprocessed(call, [8, 'rate-limited'], {
        'grpc-retry-pushback-ms': waitMs,
        'grpc-message': message,
      });

    /** A stream whose first messages the model has seen. */
    const refusedMidway = (call: PeerStream, message: RegExp): void =>
      assertEnd(call, [8, 'stream-rate-limited'], {
        'grpc-retry-pushback-ms': '500',
        'grpc-message': message,
        'outrider-unprocessed': undefined,
      });

    it('a model called more often than it may is refused, with a pushback; others are not', () => {
      limited();
      assert.deepEqual(statusesOf(some(2, 'large')), [0, 0]);
      refused(infer('large'), /^app calls model 'large' of digits more often than it may$/);
      assert.deepEqual(statusesOf([...some(9, 'small'), ...some(9, '')]), Array(18).fill(0));
      for (const path of ['/shop.Prices/Predict', `${INFERENCE}/ServerMetadata`])
        for (let i = 0; i < 3; i++) assert.equal(stack.call({ path }).status, 0, path);
      assert.deepEqual(rowsOf('outrider_rate_limited_total'), [
        ['', '', 0],
        ['large', '', 1],
      ]);
      stack.advance(500);
      assert.deepEqual(statusesOf(some(2, 'large')), [0, 8]);
      stack.assertIdle();
    });

    it('a version has its own, and calls for others are not limited', () => {
      limited({ version: '9', burst: 1 });
      const of = (version: string): PeerStream => infer('', { body: versioned('large', version) });
      assert.deepEqual(statusesOf([of('9'), of('9'), of('8'), of('')]), [0, 8, 0, 0]);
      assert.deepEqual(rowsOf('outrider_rate_limited_total').at(-1), ['large', '9', 1]);
    });

    it('a version leads past its limit nowhere in the message', () => {
      limited({ version: '9', burst: 1 });
      const [name, nine, eight] = [
        [0x0a, 5, ...Buffer.from('large')],
        [0x12, 1, 0x39],
        [0x12, 1, 0x38],
      ];
      const other = [0x1a, 1, 0x69];
      const of = (...bytes: number[]): PeerStream => infer('', { body: grpcMessage(Buffer.from(bytes)) });
      assert.deepEqual(
        statusesOf([of(...nine, ...other, ...name), of(...nine, ...name)]),
        [0, 8],
        'before the name',
      );
      assert.deepEqual(statusesOf([of(...nine, ...name, ...eight), of(...eight, ...name, ...nine)]), [0, 8]);
      for (const call of [of(...name, ...other, ...nine), of(...name, ...eight, ...other, ...nine)])
        assertEnd(call, [3, 'no-model-name'], { 'grpc-message': /has a version after other fields/ });
      const zipped = gzipSync(Buffer.from([...name, ...other, ...nine]));
      const metadata = [['grpc-encoding', 'gzip']] as const;
      const packed = infer('', { body: grpcMessage(zipped, zipped.length, 1), metadata });
      refused(packed, /cannot be read .*has a version after other fields/, '500');
    });

    it('a stream counts once, for its first message, and a refused one ends there', () => {
      limited({ burst: 1 });
      const stream = infer('', { path: STREAM, body: null });
      for (let i = 0; i < 5; i++) stack.settle(stream.data(anInferRequest('large')));
      stack.settle(stream.data(anInferRequest('large'), Flag.endStream));
      assert.equal(stream.status, 0);
      const next = infer('', { path: STREAM, body: null });
      assert.equal(next.isOver, false, 'it has not said its model');
      stack.settle(next.data(anInferRequest('large')));
      refused(next, /model 'large'/);
    });

    it('a stream that goes on with another model counts for that one, each time', () => {
      limited({ burst: 2 });
      const stream = infer('', { path: STREAM, body: null });
      for (const model of ['small', 'small', 'large', 'large', 'small', 'large'])
        stack.settle(stream.data(anInferRequest(model)));
      assert.equal(stream.isOver, false, 'it began with another, and came to this one twice');
      stack.settle(stream.data(anInferRequest('small')));
      const body = anInferRequest('large');
      for (const byte of body) if (!stream.isOver) stack.settle(stream.data(Buffer.from([byte])));
      refusedMidway(stream, /model 'large'/);
      stack.advance(60_000);
      const packed = infer('', { path: STREAM, body: null });
      const all = ['small', 'large', 'small', 'large', 'small', 'large'].map((model) =>
        anInferRequest(model),
      );
      stack.settle(packed.data(Buffer.concat(all)));
      refusedMidway(packed, /model 'large'/);
      stack.assertIdle();
    });

    /** A message whose name stands behind more than is searched. */
    const late = grpcMessage(
      Buffer.concat([
        Buffer.from([0x3a, 0xff, 0xff, 0x07]),
        Buffer.alloc(131_071),
        Buffer.from([0x0a, 5, ...Buffer.from('large')]),
      ]),
    );
    const send = (stream: PeerStream, ...messages: Buffer[]): void => {
      const body = Buffer.concat(messages);
      for (let at = 0; at < body.length && !stream.isOver; at += 16_000)
        stack.settle(stream.data(body.subarray(at, at + 16_000)));
    };

    it('a stream that goes on with messages that cannot be read counts as one for the model', () => {
      limited({ burst: 1 });
      const stream = infer('', { path: STREAM, body: null });
      send(stream, anInferRequest('small'), late, late);
      assert.equal(stream.isOver, false, 'both may be for the same model');
      send(stream, anInferRequest('small'), late);
      refusedMidway(
        stream,
        /^app calls a model whose name cannot be read \(it is not within the first 65536/,
      );
      stack.advance(60_000);
      const broken = infer('', { path: STREAM, body: null });
      send(broken, anInferRequest('small'), grpcMessage(Buffer.from('no message')), anInferRequest('small'));
      assert.equal(broken.isOver, false);
      send(broken, grpcMessage(Buffer.from('no message')));
      refusedMidway(broken, /cannot be read \(the bytes are not a message\)/);
    });

    it('a stream may have messages that name no model, and go on where its first one cannot be read', () => {
      limited({ burst: 1 });
      const stream = infer('', { path: STREAM, body: null });
      const empty = grpcMessage(Buffer.alloc(0));
      send(stream, late, empty, late, anInferRequest('small'), empty, empty, anInferRequest('small'));
      assert.equal(
        stream.isOver,
        false,
        'one for the first message, and none for what names none or another',
      );
      send(stream, anInferRequest('large'));
      refusedMidway(stream, /model 'large'/);
    });

    it('the first message counts, whatever of the next ones comes in the same frame', () => {
      limited({ burst: 1 });
      const first = anInferRequest('large');
      const both = Buffer.concat([first, anInferRequest('small')]);
      for (const cut of [both.length, first.length + 1, first.length + 8]) {
        const [one, other] = [1, 2].map(() => {
          const stream = infer('', { path: STREAM, body: null });
          send(stream, both.subarray(0, cut));
          send(stream, both.subarray(cut));
          return stream;
        });
        assert.equal(one!.isOver, false);
        refused(other!, /model 'large'/);
        stack.advance(60_000);
      }
    });

    it('limits that are about no model count a stream once, whatever it goes on with', () => {
      const [of] = limits({ burst: 9 }).rateLimits!;
      start({ rateLimits: [of!, { callers: ['*'], methods: ['*'], perSecond: 2, burst: 1 }] });
      answers();
      const stream = infer('', { path: STREAM, body: null });
      for (const model of ['small', 'other', 'large', 'small'])
        stack.settle(stream.data(anInferRequest(model)));
      stack.settle(stream.data(anInferRequest('other'), Flag.endStream));
      assert.equal(stream.status, 0);
    });

    it('predictions of TorchServe name their model in the same way', () => {
      limited({ burst: 1 });
      const torch = (model: string): PeerStream =>
        infer(model, { path: '/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions' });
      assert.deepEqual(statusesOf([torch('large'), torch('small'), torch('large')]), [0, 0, 8]);
    });

    it('a large request is counted by its name, wherever that is cut', () => {
      limited({ burst: 1 });
      const body = anInferRequest('large', 600_000);
      const call = (first: number): PeerStream => {
        const sent = infer('', { body: null });
        stack.settle(sent.data(body.subarray(0, first)));
        for (let at = first; at < body.length; at += 16_000)
          if (!sent.isOver)
            stack.settle(
              sent.data(body.subarray(at, at + 16_000), at + 16_000 < body.length ? 0 : Flag.endStream),
            );
        return sent;
      };
      assert.deepEqual(statusesOf([call(9), call(9), call(16_000)]), [0, 8, 8]);
    });

    it('a second name leads past no limit', () => {
      limited();
      const two = grpcMessage(
        Buffer.concat([anInferRequest('small').subarray(5), anInferRequest('large').subarray(5)]),
      );
      assertEnd(infer('', { body: two }), [3, 'no-model-name'], { 'grpc-message': /more than one model/ });
      assert.equal(stack.requests.length, 0);
    });

    it('what cannot be read counts, and says why; nothing else does', () => {
      limited({ burst: 1 });
      const zipped = {
        body: grpcMessage(Buffer.from('?'), 1, 1),
        metadata: [['grpc-encoding', 'snappy']] as const,
      };
      assert.equal(infer('', zipped).status, 0);
      refused(infer('', zipped), /^app calls a model whose name cannot be read \(the message is compressed/);
      assert.deepEqual(statusesOf(some(3, 'small')), [0, 0, 0]);
      assert.deepEqual(rowsOf('outrider_rate_limited_total')[0], ['', '', 1]);
    });

    it('a compressed request that is too long to be read whole counts: it could name another model at its end', () => {
      limited({ burst: 1 });
      const packed = gzipSync(anInferRequest('small', 600_000).subarray(5));
      const zipped = {
        body: grpcMessage(packed, packed.length, 1),
        metadata: [['grpc-encoding', 'gzip']] as const,
      };
      assert.equal(infer('', zipped).status, 0);
      refused(infer('', zipped), /^app calls a model whose name cannot be read/);
    });

    it('holds where each model has a process, and comes and goes with the file', () => {
      start(limits({ burst: 1 }), { models: ['large', 'small'] });
      for (const model of ['large', 'small'])
        stack.backend(`model ${model}`).answer = (stream) => stream.reply();
      assert.deepEqual(statusesOf([...some(2, 'large'), ...some(3, 'small')]), [0, 8, 0, 0, 0]);
      stack.close();
      start();
      answers();
      assert.deepEqual(statusesOf(some(3, 'large')), [0, 0, 0]);
      stack.reload({ routes: ROUTES, ...limits({ burst: 1 }) });
      assert.deepEqual(statusesOf(some(2, 'large')), [0, 8]);
      stack.reload({ routes: ROUTES });
      assert.deepEqual(statusesOf(some(2, 'large')), [0, 0]);
    });
  });

  describe('intentions', () => {
    const some = (...models: string[]): IntentionConfig => ({
      from: 'app',
      to: 'digits',
      action: 'allow',
      models,
    });
    const guarded = (...intentions: IntentionConfig[]): void => {
      start({ intentions });
      answers();
    };
    const refused = (call: PeerStream, why: RegExp): void =>
      assertEnd(call, [7, 'not-allowed'], { 'grpc-message': why });

    it('a caller gets the models that it may have, and no others', () => {
      guarded(some('a'), some('b'));
      assert.deepEqual(statusesOf([infer('a'), infer('b')]), [0, 0]);
      refused(infer('c'), /^app may call only some models of digits, and 'c' is none of them$/);
      refused(infer(''), /this call names none/);
      refused(infer('A'), /'A' is none/);
      assert.equal(stack.requests.length, 2, 'the model has not seen the others');
    });

    it('methods about the server stay open, all others are closed', () => {
      guarded(some('a'));
      const open = ['ServerLive', 'ServerReady', 'ServerMetadata'].map((name) => `${INFERENCE}/${name}`);
      const closed = [
        ...['RepositoryIndex', 'RepositoryModelUnload', 'TraceSetting', 'SystemSharedMemoryRegister'].map(
          (name) => `${INFERENCE}/${name}`,
        ),
        '/tensorflow.serving.PredictionService/MultiInference',
        '/shop.Prices/List',
      ];
      open.push('/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping');
      for (const path of ['/grpc.health.v1.Health/Check', ...open])
        assert.equal(stack.call({ path }).status, 0, path);
      const why = /^app may call only some models of digits, and this method may be about any of them$/;
      for (const path of closed) assertEnd(stack.call({ path }), [7, 'not-allowed'], { 'grpc-message': why });
    });

    it('what cannot be read is refused: it could name any model', () => {
      guarded(some('a'));
      const compressed = gzipSync(anInferRequest('b').subarray(5));
      const zipped = Buffer.concat([Buffer.from([1, 0, 0, 0, compressed.length]), compressed]);
      const late = Buffer.concat([
        Buffer.from([0x3a, 0xff, 0xff, 0x07]),
        Buffer.alloc(131_071),
        Buffer.from([0x0a, 1, 0x61]),
      ]);
      refused(infer('', { body: zipped, metadata: [['grpc-encoding', 'gzip']] }), /'b' is none of them/);
      refused(infer('', { body: zipped, metadata: [['grpc-encoding', 'snappy']] }), /cannot be read/);
      refused(infer('', { body: grpcMessage(late) }), /cannot be read/);
      refused(infer('', { body: grpcMessage(Buffer.from([0xff, 0xff])) }), /cannot be read/);
      refused(infer('', { body: Buffer.alloc(0) }), /cannot be read/);
      assert.equal(stack.requests.length, 0);
    });

    it('a request with a second name, which decoders take, is refused wherever that stands', () => {
      guarded(some('a'));
      const second = Buffer.from([0x0a, 1, 0x62]);
      const more = (request: Buffer): Buffer => grpcMessage(Buffer.concat([request.subarray(5), second]));
      refused(infer('', { body: more(anInferRequest('a')) }), /the message names more than one model/);
      refused(infer('', { body: grpcMessage(Buffer.from([0x0a, 1, 0x61, ...second])) }), /more than one/);
      refused(infer('', { body: more(anInferRequest('a', 600_000)) }), /more than one model/);
      const stream = infer('', { path: STREAM, body: null });
      stack.settle(stream.data(anInferRequest('a')));
      stack.settle(stream.data(more(anInferRequest('a')), Flag.endStream));
      refused(stream, /more than one model/);
      assert.equal(stack.requests.filter(({ isEnded }) => isEnded).length, 0, 'the model has no whole one');
      assert.deepEqual(statusesOf([infer('a'), infer('', { body: anInferRequest('a', 600_000) })]), [0, 0]);
    });

    it('a compressed request is read whole, or refused where it is too long for that', () => {
      guarded(some('a'));
      const metadata = [['grpc-encoding', 'gzip']] as const;
      const zipped = (message: Buffer): Buffer => {
        const packed = gzipSync(message);
        return grpcMessage(packed, packed.length, 1);
      };
      const [small, large] = [anInferRequest('a', 3_000), anInferRequest('a', 600_000)].map((each) =>
        each.subarray(5),
      ) as [Buffer, Buffer];
      assert.equal(infer('', { body: zipped(small), metadata }).status, 0);
      const second = Buffer.concat([small, Buffer.from([0x0a, 1, 0x62])]);
      refused(infer('', { body: zipped(second), metadata }), /more than one model/);
      refused(infer('', { body: zipped(large), metadata }), /compressed message has more than 65536 bytes/);
    });

    it('every message of a stream is held to it', () => {
      guarded(some('a', 'b'));
      const open = (): PeerStream => {
        const stream = infer('', { path: STREAM, body: null });
        stack.settle(stream.data(anInferRequest('a')));
        return stream;
      };
      for (const next of [anInferRequest('c'), anInferRequest('b'), anInferRequest('')]) {
        const stream = open();
        stack.settle(stream.data(next));
        assert.deepEqual([stream.status, stream.reason], [12, 'other-model']);
      }
      const both = infer('', {
        path: STREAM,
        body: Buffer.concat([anInferRequest('a'), anInferRequest('c')]),
      });
      assert.equal(both.status, 12);
      const fine = open();
      stack.settle(fine.data(anInferRequest('a'), Flag.endStream));
      assert.equal(fine.status, 0);
    });

    it('the first message of a stream is held to it, whatever of the next one comes in the same frame', () => {
      guarded(some('a'));
      const [first, next] = [anInferRequest('b'), anInferRequest('a')];
      for (const cut of [1, 8, next.length]) {
        const stream = infer('', { path: STREAM, body: null });
        stack.settle(stream.data(Buffer.concat([first, next.subarray(0, cut)])));
        if (!stream.isOver) stack.settle(stream.data(next.subarray(cut)));
        assert.ok(['not-allowed', 'other-model'].includes(stream.reason ?? ''), `${cut}: ${stream.reason}`);
      }
      assert.equal(stack.requests.length, 0, 'the model has seen none of it');
    });

    it('are taken over for the calls under way: what is not theirs any more ends', () => {
      start({ intentions: ANY });
      const calls = [infer('a'), infer('b')];
      const stream = infer('', { path: STREAM, body: null });
      stack.settle(stream.data(anInferRequest('a')));
      const reload = (...intentions: IntentionConfig[]): void => stack.reload({ routes: ROUTES, intentions });
      reload(some('a', 'b'));
      assert.deepEqual(
        [...calls, stream].map(({ reason }) => reason),
        ['not-allowed', 'not-allowed', 'not-allowed'],
        'their models have not been read',
      );
      const [one, other] = [infer('a'), infer('b')];
      reload(some('b'));
      assert.equal(one.reason, 'not-allowed');
      answers();
      stack.settle(stack.requests.at(-1)!.reply());
      assert.equal(other.status, 0);
      assert.equal(infer('a').status, 7);
      reload(...ANY);
      assert.equal(infer('a').status, 0);
    });

    describe('methods that load and unload models', () => {
      const LOAD = `${INFERENCE}/RepositoryModelLoad`;
      const UNLOAD = `${INFERENCE}/RepositoryModelUnload`;
      const RELOAD = '/tensorflow.serving.ModelService/HandleReloadConfigRequest';
      const SCALE = '/org.pytorch.serve.grpc.management.ManagementAPIsService/ScaleWorker';
      const why =
        /^app may not change the models of digits: an intention has to name \/.*\/\w+ \(control_methods/;
      const byName = (...controlMethods: string[]): IntentionConfig => ({ ...ANY[0]!, controlMethods });
      const command = (path: string): PeerStream => stack.call({ path });

      it('are not for a caller that may call everything else', () => {
        guarded(...ANY);
        for (const path of [LOAD, UNLOAD, RELOAD, SCALE])
          assertEnd(command(path), [7, 'not-allowed'], { 'grpc-message': why });
        assert.equal(stack.requests.length, 0, 'the model has seen none');
        assert.equal(command(`${INFERENCE}/RepositoryIndex`).status, 0);
      });

      it('nor by default', () => {
        start({ intentions: [], defaultIntention: 'allow' });
        answers();
        assert.deepEqual([command(UNLOAD).status, command('/shop.Prices/List').status], [7, 0]);
      });

      it('are for one whose intention names them', () => {
        guarded(byName(LOAD, RELOAD));
        const statuses = [LOAD, RELOAD, UNLOAD, '/shop.Prices/List'].map((path) => command(path).status);
        assert.deepEqual(statuses, [0, 0, 7, 0]);
      });

      it('end under way when the intention names them no more', () => {
        start({ intentions: [byName(LOAD)] });
        const call = command(LOAD);
        const other = command('/shop.Prices/List');
        stack.reload({ routes: ROUTES, intentions: ANY });
        assertEnd(call, [7, 'not-allowed'], { 'grpc-message': why });
        stack.settle(stack.requests.at(-1)!.reply());
        assert.equal(other.status, 0);
      });

      it('refuse a caller that may call nothing as every other method does', () => {
        guarded({ ...ANY[0]!, from: 'other' });
        assertEnd(command(UNLOAD), [7, 'not-allowed'], { 'grpc-message': /^app may not call digits$/ });
      });
    });

    it('hold for a caller without identity too, where all callers are meant', () => {
      start({ mtls: 'permissive', intentions: [{ ...some('a'), from: '*' }] });
      answers();
      const plain = stack.caller();
      const path = `${INFERENCE}/ModelInfer`;
      const call = (model: string): PeerStream => stack.call({ path, body: anInferRequest(model) }, plain);
      assert.deepEqual([call('a').status, call('b').status], [0, 7]);
    });

    it('with several model processes, before the process is looked for', () => {
      start({ intentions: [some('a')] }, { models: ['a', 'b'] });
      assert.equal(infer('b').status, 7);
      assert.equal(infer('unheard-of').status, 7, 'nor is it told what there is');
    });
  });
});
