/** Header lists that are longer than somebody on the way accepts: answers of models, and requests of callers. */
import assert from 'node:assert/strict';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { Flag, grpcMessage, Setting } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerOptions, PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import {
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  MESSAGE,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const KIB = 1024;
const TRACE = 'Traceback: line\n'.repeat(1250);
const LONG: Field = ['grpc-message', encodeURIComponent(TRACE)];
const MUCH: Field = ['x-much', 'm'.repeat(20 * KIB)];

const accepting = (bytes: number): Omit<PeerOptions, 'role'> => ({
  settings: [[Setting.maxHeaderListSize, bytes]],
});

const sizeOf = (list: readonly Field[] | undefined): number =>
  (list ?? []).reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);

describe('an answer with long metadata', () => {
  let stack: Stack;
  let out: OutboundStack;

  /** An endpoint that answers so, and a call of an application that accepts so much. */
  function call(answer: (stream: PeerStream) => void, caller = {}, routes = [aRoute()]): PeerStream {
    stack = new Stack();
    out = stack.outbound(anUpstream(['a'], { routes }));
    stack.backend('a').answer = answer;
    return stack.settle(stack.app(out.listener, undefined, caller).call());
  }
  /** What the attempts at the endpoint count as. */
  const outcomes = (): number[] => [...out.cluster.endpoints[0]!.outcomes];
  const counted = (outcome: Outcome): number[] => outcomes().map((_, each) => (each === outcome ? 1 : 0));

  const ways: readonly [string, (stream: PeerStream) => unknown][] = [
    ['trailers-only', (stream) => stream.fail(5, [LONG])],
    ['in trailers', (stream) => stream.begin().trailers(5, [LONG])],
    ['in trailers behind a message', (stream) => stream.begin().data(MESSAGE).trailers(5, [LONG])],
  ];
  for (const [where, answer] of ways)
    for (const kind of ['unary', 'streaming'] as const) {
      const routes = kind === 'unary' ? [aRoute()] : [aStreamRoute()];

      it(`an error of 20 KB ${where} of a ${kind} call reaches a caller that names no limit whole`, () => {
        const got = call(answer, {}, routes);
        assertEnd(got, [5], { 'grpc-message': LONG[1] });
        assert.deepEqual(outcomes(), counted(Outcome.neutral));
      });

      it(`an error of 20 KB ${where} of a ${kind} call is cut for one that accepts 8 KiB, and keeps its status`, () => {
        const got = call(answer, accepting(8 * KIB), routes);
        assert.equal(got.status, 5);
        assert.ok(sizeOf(got.lists.at(-1)) <= 4 * KIB);
        const cut = got.trailer('grpc-message')!;
        assert.ok(cut.length > 3 * KIB && cut.endsWith('...'));
        assert.ok(LONG[1].startsWith(cut.slice(0, -3)));
        assert.deepEqual(outcomes(), counted(Outcome.neutral));
      });
    }

  it('20 KB of initial metadata reach a caller that names no limit', () => {
    const got = call((stream) => stream.begin([MUCH]).data(MESSAGE).trailers(0));
    assertEnd(got, [0]);
    assert.equal(got.header('x-much'), MUCH[1]);
    stack.assertIdle();
  });

  for (const routes of [[aRoute()], [aStreamRoute()]])
    it(`20 KB of initial metadata of a ${routes[0]!.kind} call are RESOURCE_EXHAUSTED for a caller that accepts 16 KiB`, () => {
      const got = call(
        (stream) => stream.begin([MUCH]).data(MESSAGE).trailers(0),
        accepting(16 * KIB),
        routes,
      );
      const why = /^response headers of 20\d{3} bytes are over the 16384 bytes that the caller accepts/;
      assertEnd(got, [8, 'metadata-too-large'], { 'grpc-message': why });
      assert.ok(got.isTrailersOnly);
      assert.equal(outcomes()[Outcome.fault], 0);
      stack.assertIdle();
    });

  it('that waits for its first message with metadata of 20 KB leaves nothing of that in the budget', () => {
    const retry = { attempts: 2, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
    const got = call(
      (stream) => stream.begin([MUCH]).data(grpcMessage(Buffer.alloc(10 * KIB))),
      accepting(16 * KIB),
      [aStreamRoute({ idempotent: true, retry })],
    );
    assertEnd(got, [8, 'metadata-too-large']);
    stack.assertIdle();
  });

  it('initial metadata of more than 1 MiB are RESOURCE_EXHAUSTED, and nothing against the endpoint', () => {
    const fields = Array.from({ length: 70 }, (_, i): Field => [`x-${i}`, 'm'.repeat(16_000)]);
    const got = call((stream) => stream.begin(fields));
    const why = /^a:1: response headers of 11\d{5} bytes in 72 fields are over the limit of 1048576 bytes/;
    assertEnd(got, [8, 'metadata-too-large'], { 'grpc-message': why });
    assert.deepEqual([outcomes(), stack.backend('a').last.resetCode], [counted(Outcome.neutral), 8]);
    stack.assertIdle();
  });

  it('trailers with more fields than are accepted keep their status', () => {
    const fields = Array.from({ length: 200 }, (_, i): Field => [`k${i}`, 'v']);
    for (const answer of [
      (stream: PeerStream) => stream.begin().trailers(3, fields),
      (stream: PeerStream) => stream.begin().headers([...fields, ['grpc-status', '3']], Flag.endStream),
    ]) {
      assertEnd(call(answer), [3]);
      assert.deepEqual(outcomes(), counted(Outcome.neutral));
    }
  });

  it('a reply of the sidecar itself is cut for its caller as well', () => {
    stack = new Stack();
    out = stack.outbound(anUpstream(['a'], { routes: [aRoute({ methods: ['/a.B/C'] })] }));
    const app = stack.app(out.listener, undefined, accepting(KIB));
    const got = stack.settle(app.call({ path: `/a.B/${'x'.repeat(5000)}` }));
    assertEnd(got, [12, 'unknown-route'], { 'grpc-message': /\.\.\.$/ });
    assert.ok(sizeOf(got.lists[0]) <= KIB);
  });

  it('counts as memory while it waits for its caller', () => {
    stack = new Stack();
    out = stack.outbound(anUpstream(['a']));
    const { waiting } = stack.context.memory;
    const app = stack.app(out.listener);
    const beforeBytes = waiting.bytes;
    stack.settle(app.call());
    stack.settle(stack.backend('a').last.begin([MUCH]));
    assert.ok(waiting.bytes - beforeBytes > 20 * KIB, 'the response is held');
    stack.settle(stack.backend('a').last.trailers(0));
    assert.equal(waiting.bytes, beforeBytes);
  });
});

describe('an answer with long metadata, from a model to a sidecar of an earlier version', () => {
  /** It announces its limit for requests, 16 KiB and 100 fields, for responses too. */
  const EARLIER = accepting(16 * KIB);

  const ask = (answer: (stream: PeerStream) => void): PeerStream => {
    const stack = new ModelStack();
    stack.model.answer = answer;
    return stack.call({}, stack.caller('app', EARLIER));
  };

  it('an error is cut to what that accepts', () => {
    const got = ask((stream) => stream.fail(5, [LONG]));
    assert.equal(got.status, 5);
    assert.ok(sizeOf(got.lists[0]) <= 16 * KIB);
    assert.match(got.trailer('grpc-message')!, /\.\.\.$/);
  });

  it('initial metadata is RESOURCE_EXHAUSTED in words that fit', () => {
    const got = ask((stream) => stream.begin([MUCH]).data(MESSAGE).trailers(0));
    assertEnd(got, [8, 'metadata-too-large'], { 'grpc-message': /16384 bytes that the caller accepts/ });
  });

  it('a sidecar of this version gets both whole', () => {
    const stack = new ModelStack();
    stack.model.answer = (stream) => stream.begin([MUCH]).data(MESSAGE).trailers(5, [LONG]);
    const got = stack.call({}, stack.caller('app', accepting(1024 * KIB)));
    assertEnd(got, [5], { 'grpc-message': LONG[1] });
    assert.equal(got.header('x-much'), MUCH[1]);
  });
});

describe('a request with long metadata', () => {
  const why =
    /^request headers of \d+ bytes in \d+ fields are over limits\.max_header_bytes \(16384\) or limits\.max_header_fields \(100\)$/;
  const fields = Array.from({ length: 200 }, (_, i): Field => [`k${i}`, 'v']);

  for (const [what, metadata] of [
    ['of 20 KB', [MUCH]],
    ['of 200 fields', fields],
  ] as const)
    it(`${what} gets an answer that names the limit, and the connection goes on`, () => {
      const stack = new Stack();
      const out = stack.outbound(anUpstream(['a']));
      stack.backend('a').answer = (stream) => stream.reply();
      const app = stack.app(out.listener);
      for (let n = 0; n < 50; n++) {
        const got = stack.settle(app.call({ metadata }));
        assertEnd(got, [8, 'metadata-too-large'], { 'grpc-message': why });
        assert.deepEqual([got.isTrailersOnly, got.header('content-type')], [true, 'application/grpc']);
      }
      assert.equal(stack.settle(app.call()).status, 0);
      assert.deepEqual([stack.backend('a').requests.length, app.goaways.length], [1, 0]);
    });

  it('that has not ended is answered and no more is read of it', () => {
    const stack = new ModelStack();
    const got = stack.call({ metadata: [MUCH], body: null });
    assertEnd(got, [8, 'metadata-too-large'], { 'grpc-message': why });
    assert.equal(stack.requests.length, 0);
    stack.assertIdle();
  });

  it('that is not gRPC gets HTTP 431', () => {
    const stack = new ModelStack();
    const got = stack.call({ metadata: [MUCH], contentType: 'application/json' });
    assert.deepEqual([got.header(':status'), got.isEnded], ['431', true]);
    assert.match(got.body.toString(), /limits\.max_header_bytes \(16384\)/);
  });
});

describe('a request with longer metadata than an endpoint accepts', () => {
  const SOME: Field = ['x-some', 's'.repeat(9 * KIB)];
  const why = /: request headers of 9\d{3} bytes are over the 8192 bytes that it accepts/;

  it('is not sent to it, says why, and is nothing against it', () => {
    const stack = new Stack();
    for (const name of ['a', 'b']) {
      const backend = stack.backend(name);
      backend.peerOptions = accepting(8 * KIB);
      backend.answer = (stream) => stream.reply();
    }
    const out = stack.outbound(anUpstream(['a', 'b'], { routes: [aSafeRoute()] }));
    const app = stack.app(out.listener);
    // Their SETTINGS are known from the first call on.
    for (let n = 0; n < 8; n++) assert.equal(stack.settle(app.call()).status, 0);
    for (let n = 0; n < 20; n++)
      assertEnd(stack.settle(app.call({ metadata: [SOME] })), [8, 'metadata-too-large'], {
        'grpc-message': why,
      });
    const { endpoints } = out.cluster;
    assert.deepEqual(
      endpoints.map(({ eligible, outcomes }) => [eligible, outcomes[Outcome.fault]]),
      [
        [true, 0],
        [true, 0],
      ],
    );
    assert.equal(stack.backend('a').requests.length + stack.backend('b').requests.length, 8);
    stack.assertIdle();
  });

  it('is not sent to a model, which would end the connection with the calls of others', () => {
    const stack = new ModelStack({}, { peer: accepting(8 * KIB) });
    stack.model.answer = (stream) => stream.reply();
    assert.equal(stack.call().status, 0);
    assertEnd(stack.call({ metadata: [SOME] }), [8, 'metadata-too-large'], { 'grpc-message': why });
    assert.equal(stack.call().status, 0);
    assert.deepEqual([stack.requests.length, stack.model.peers.length], [2, 1]);
    stack.assertIdle();
  });

  it('ends those that wait for the model one after the other, however many', () => {
    const queue = { concurrency: 1, maxWaiting: 1_000 };
    const stack = new ModelStack({ queue }, { peer: accepting(600) });
    const first = stack.call();
    const metadata: readonly Field[] = [['x-some', 's'.repeat(300)]];
    const calls: PeerStream[] = [];
    for (let n = 0; n < 10; n++) {
      const app = stack.caller('app');
      for (let i = 0; i < 90; i++) calls.push(app.call({ metadata }));
    }
    stack.run();
    assert.ok(calls.every(({ isOver }) => !isOver));
    stack.settle(stack.model.last.reply());
    assert.equal(first.status, 0);
    for (const call of calls) assertEnd(call, [8, 'metadata-too-large']);
    assert.equal(stack.context.stats.defects, 0);
    stack.assertIdle();
  });

  it('and answered with HTTP 431 is nothing against the endpoint, here and further away', () => {
    const answer = (stream: PeerStream) => stream.headers([[':status', '431']], Flag.endStream);
    const inner = new ModelStack();
    inner.model.answer = answer;
    const got = inner.call({ metadata: [SOME] });
    assertEnd(got, [2, 'metadata-too-large'], { 'grpc-message': /HTTP status 431/ });
    inner.assertIdle();

    const stack = new Stack();
    const out = stack.outbound(anUpstream(['a'], { tls: 'plaintext' }));
    stack.backend('a').answer = answer;
    assertEnd(stack.settle(stack.app(out.listener).call()), [2, 'metadata-too-large']);
    assert.equal(out.cluster.endpoints[0]!.outcomes[Outcome.neutral], 1);
    stack.assertIdle();
  });
});
