/**
 * Methods that the service describes: its sidecar tells the sidecars of callers, and a unary one gets all the care of a unary call. What
 * an endpoint says wrongly is found out by a second message, and breaks nothing.
 */
import assert from 'node:assert/strict';
import { LIST_METHODS, writeMethodList } from '../../../sidecar/codec/method-list.js';
import { MethodKind, type MethodList } from '../../../sidecar/core/routing/method-kinds.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { endpoint } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anAutoRoute, aRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const path = '/shop.Prices/Predict';
const watch = '/shop.Prices/Watch';
const ANSWER = grpcMessage(Buffer.from('42'));
const LIST: MethodList = { unary: [path], streaming: [watch] };
const RETRY = { attempts: 2, on: [14], backoff: { baseMs: 0, maxMs: 0 } };

const isQuestion = (stream: PeerStream): boolean => stream.header(':path') === LIST_METHODS;
/** The answer to a question for the methods. */
const says = (list: MethodList) => (stream: PeerStream) =>
  void stream.reply(grpcMessage(writeMethodList(list)));

describe('Scenario: a service describes its methods', () => {
  let stack: UpstreamStack;
  /** Requests of calls. */
  let requests: PeerStream[];
  /** How each endpoint answers questions, and calls. */
  let describes: (stream: PeerStream) => void;
  let answers: (stream: PeerStream) => void;
  const one = (stream: PeerStream): void => void stream.reply(ANSWER);
  const kind = (of = path): MethodKind => stack.out.outbound.state.kinds.of(of);
  const questions = (): number => stack.requests.filter(isQuestion).length;

  const start = (over: UpstreamOptions = {}, names = ['a', 'b']): void => {
    stack = new UpstreamStack(names, { routes: [anAutoRoute({ idempotent: true, retry: RETRY })], ...over });
    requests = [];
    answers = one;
    stack.answers((stream) => {
      if (isQuestion(stream)) return describes(stream);
      requests.push(stream);
      answers(stream);
    });
    // What was asked before the endpoints were told how to answer is given up, and asked again.
    stack.advance(8_000);
  };
  beforeEach(() => {
    describes = says(LIST);
  });

  it('a unary one has the deadline, the retry and the latency of a unary call', () => {
    start();
    assert.deepEqual([kind(), kind(watch)], [MethodKind.described, MethodKind.streaming]);
    answers = (stream) => {
      // Fails after its message: a stream would be committed by then.
      if (requests.length === 1) stream.begin().data(ANSWER).trailers(14);
      else stack.clock.after(20, () => one(stream));
    };
    const call = stack.call({ path });
    stack.advance(20);
    assert.deepEqual([call.status, call.body.length, requests.length], [0, ANSWER.length, 2]);
    assert.equal(requests[0]!.header('grpc-timeout'), '15000m');
    for (const { latency, firstMessage } of stack.names.map((name) => stack.endpoint(name)))
      assert.deepEqual([latency.samples, firstMessage], [1, null]);
    answers = () => {};
    const hung = stack.call({ path });
    stack.advance(15_001);
    assert.equal(hung.status, 4);
  });

  it('a stream stays one', () => {
    start();
    answers = () => {};
    const call = stack.call({ path: watch });
    assert.equal(requests[0]!.header('grpc-timeout'), undefined);
    stack.settle(requests[0]!.begin().data(ANSWER));
    stack.advance(60_000);
    stack.settle(requests[0]!.data(ANSWER).trailers(0));
    assert.deepEqual([call.status, call.body.length], [0, 2 * ANSWER.length]);
  });

  it('a method has counters of its own', () => {
    start();
    stack.call({ path });
    stack.call({ path: '/shop.Prices/Unknown' });
    const methods = stack.context.stats.calls.map(({ method }) => method);
    assert.ok(methods.includes(path) && methods.includes('other'), methods.join());
  });

  it('what the file says wins', () => {
    const times = { timeoutMs: 0, idleTimeoutMs: 300_000 };
    start({ routes: [aRoute({ methods: [path], kind: 'streaming', ...times }), anAutoRoute()] });
    answers = () => {};
    const call = stack.call({ path });
    assert.equal(requests[0]!.header('grpc-timeout'), undefined);
    stack.settle(requests[0]!.begin().data(ANSWER));
    assert.equal(call.body.length, ANSWER.length, 'nothing is held');
    stack.settle(requests[0]!.trailers(0));
  });

  it('one that sends a second message is a stream from then on: that call loses nothing, and no later one is held', () => {
    start();
    answers = () => {};
    const call = stack.call({ path });
    const [stream] = requests;
    stack.settle(stream!.begin().data(ANSWER));
    assert.equal(call.body.length, 0, 'held until the status is known');
    stack.settle(stream!.data(ANSWER));
    assert.deepEqual([call.body.length, kind()], [2 * ANSWER.length, MethodKind.streaming]);
    for (let i = 0; i < 100; i++) {
      stack.advance(1_000);
      stack.settle(stream!.data(ANSWER));
    }
    stack.settle(stream!.trailers(0));
    assert.deepEqual([call.status, call.body.length], [0, 102 * ANSWER.length]);
    const next = stack.call({ path });
    stack.settle(requests[1]!.begin().data(ANSWER));
    assert.equal(next.body.length, ANSWER.length);
    stack.settle(requests[1]!.trailers(0));
    stack.advance(120_000);
    assert.equal(kind(), MethodKind.streaming, 'whatever is said again');
    assert.equal(stack.out.outbound.state.kinds.unlearned, 1);
  });

  it('and that call keeps what a traffic rule says, as the stream that it is', () => {
    const consul = { service: 'digits', tags: [], meta: {}, failover: [] };
    start({ routes: [anAutoRoute()], consul, endpoints: [] });
    const responseHeaders = { remove: [], set: [['x-seen', 'yes']], add: [] } as const;
    const routes = [{ split: [{ weight: 1, cluster: '' }], responseHeaders, idleTimeoutMs: 400 }];
    const clusters = new Map([['', { endpoints: [endpoint('a')] }]]);
    stack.settle(stack.out.outbound.state.apply({ routes, clusters }));
    stack.advance(8_000);
    assert.equal(kind(), MethodKind.described);
    answers = () => {};
    const call = stack.call({ path });
    stack.settle(requests[0]!.begin().data(ANSWER));
    stack.settle(requests[0]!.data(ANSWER));
    assert.equal(kind(), MethodKind.streaming);
    assert.deepEqual([call.body.length, call.header('x-seen')], [2 * ANSWER.length, 'yes']);
    stack.advance(450);
    assert.deepEqual([call.status, call.reason], [4, 'idle-timeout']);
  });

  it('a large answer of one message is none', () => {
    start();
    const large = grpcMessage(Buffer.alloc(600_000, 7));
    answers = (stream) => void stream.reply(large);
    const call = stack.call({ path });
    assert.deepEqual([call.status, call.body.length, kind()], [0, large.length, MethodKind.described]);
  });

  it('is asked again where there are calls, as it may have started anew, and where there are none it is not', () => {
    start();
    const before = questions();
    stack.advance(600_000);
    assert.equal(questions(), before);
    describes = says({ unary: [watch], streaming: [path] });
    for (let i = 0; i < 8; i++) {
      stack.load(4, 10, { path });
      stack.advance(10_000);
    }
    assert.deepEqual([kind(), kind(watch)], [MethodKind.streaming, MethodKind.described]);
    assert.ok(questions() - before <= 2 * 4, `${questions() - before}`);
  });

  describe('is not asked', () => {
    const asked = (over: UpstreamOptions): number => {
      start(over);
      return questions();
    };
    it('where the file says all of it', () => assert.equal(asked({ routes: [aRoute()] }), 0));
    it('in plaintext, where no sidecar is', () => assert.equal(asked({ tls: 'plaintext' }), 0));
    it('where the registry shows another proxy', () => {
      const endpoints = ['a', 'b'].map((id) => ({
        ...{ address: { kind: 'tcp', host: id, port: 1 } as const, weight: 1, id, isForeign: true },
      }));
      assert.equal(asked({ endpoints }), 0);
    });
  });

  const bad: Record<string, (stream: PeerStream) => void> = {
    'that is no message': (stream) => void stream.reply(Buffer.from('noise')),
    'that is no list': (stream) => void stream.reply(grpcMessage(Buffer.from('0aff', 'hex'))),
    'of a megabyte': (stream) => void stream.reply(grpcMessage(Buffer.alloc(1024 * 1024, 1))),
    'that never comes': () => {},
    'without a message': (stream) => void stream.fail(0),
    UNIMPLEMENTED: (stream) => void stream.fail(12),
    PERMISSION_DENIED: (stream) => void stream.fail(7),
    UNAVAILABLE: (stream) => void stream.fail(14),
    'that is a reset': (stream) => void stream.reset(),
  };
  for (const [name, answer] of Object.entries(bad))
    it(`an answer ${name} changes nothing, and is not asked for often`, () => {
      describes = answer;
      start();
      stack.load(100, 1_000, { path });
      assert.equal(kind(), MethodKind.single, 'its answers alone count');
      assert.ok(questions() < 2 * 15, `${questions()} questions in 108 s`);
      assert.deepEqual(stack.states, ['eligible', 'eligible']);
    });
});
