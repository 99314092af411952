/** Traces of both sides: what endpoints are told, which calls get spans, and what the spans say. */
import assert from 'node:assert/strict';
import { CallSpans } from '../../../../sidecar/telemetry/traces/call-spans.js';
import { SpanQueue } from '../../../../sidecar/telemetry/traces/span-queue.js';
import { Tracer, type TracerSettings } from '../../../../sidecar/telemetry/traces/tracer.js';
import { WallOffset } from '../../../../sidecar/telemetry/traces/wall-offset.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import type { Field } from '../../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  type InboundStack,
  Stack,
} from '../../../kit/stack/stack.js';
import { type ReadSpan, readSpans } from '../../../kit/traces/decode-spans.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const SAMPLED: Field = ['traceparent', `00-${TRACE}-${PARENT}-01`];
const UNSAMPLED: Field = ['traceparent', `00-${TRACE}-${PARENT}-00`];
const ID = '0af76519-16cd-43dd-8448-eb211c80319c';
const OFF: TracerSettings = { sample: 0, parent: 'follow', errorsPerSecond: 100, requestIds: 'traced' };
const ALL: TracerSettings = { ...OFF, sample: 1 };

describe('traces', () => {
  let stack: Stack;
  let queue: SpanQueue;
  let tracer: Tracer;
  let app: Application;

  const begin = (settings: TracerSettings): void => {
    stack = new Stack();
    queue = new SpanQueue();
    tracer = new Tracer(settings, stack.context, queue, new WallOffset(stack.clock));
    stack.context.recorder = tracer;
    stack.context.tracer = tracer;
  };
  const outbound = (settings: TracerSettings, routes = [aRoute()], over = {}): void => {
    begin(settings);
    app = stack.app(stack.outbound(anUpstream(['a', 'b'], { routes, ...over })).listener);
  };
  const spans = (): ReadSpan[] => {
    const batch = queue.first(10_000);
    return batch === undefined ? [] : readSpans(Buffer.concat(batch.parts));
  };
  const at = (name: string): PeerStream => stack.backend(name).last;
  const told = (stream: PeerStream, name: string): string[] =>
    stream.lists[0]!.filter(([key]) => key === name).map(([, value]) => value);
  const call = (metadata: Field[] = []): PeerStream => stack.settle(app.call({ metadata }));
  const answered = (name: string): void => void stack.settle(at(name).reply());

  describe('of a call that begins one', () => {
    it('the endpoint is told the span of the attempt, and an id of the request', () => {
      outbound(ALL);
      call();
      stack.advance(25);
      answered('a');
      const [server, client] = spans();
      assert.deepEqual(told(at('a'), 'traceparent'), [`00-${client!.traceId}-${client!.spanId}-01`]);
      assert.deepEqual(told(at('a'), 'x-request-id'), [client!.traceId]);
      assert.deepEqual([server!.parentId, client!.parentId], ['', server!.spanId]);
      assert.deepEqual([server!.flags, client!.flags], [0x301, 0x101]);
      assert.equal(client!.end - client!.start, 25_000_000n);
      assert.equal(server!.start, BigInt(stack.clock.wallNow() - 25) * 1_000_000n);
    });

    it('the spans say what the call was, by the conventions for RPC', () => {
      outbound(ALL);
      call();
      answered('a');
      const rpc = {
        'rpc.system': 'grpc',
        'rpc.service': 'inference.GRPCInferenceService',
        'rpc.method': 'ModelInfer',
      };
      const [server, client] = spans();
      assert.deepEqual(
        [server!.name, server!.kind, client!.kind],
        ['inference.GRPCInferenceService/ModelInfer', 2, 3],
      );
      assert.deepEqual(server!.attributes, {
        ...{ ...rpc, 'rpc.grpc.status_code': 0, 'outrider.direction': 'outbound' },
        ...{ 'outrider.upstream': 'digits', 'outrider.request_bytes': 13, 'outrider.response_bytes': 6 },
      });
      assert.deepEqual(client!.attributes, {
        ...{ ...rpc, 'rpc.grpc.status_code': 0, 'server.address': 'a', 'server.port': 1 },
        ...{ 'outrider.endpoint': 'a:1', 'outrider.ended': 'trailers', 'outrider.outcome': 'success' },
        'outrider.wait_ms': 0,
      });
      assert.deepEqual([server!.error, client!.error], [undefined, undefined]);
    });

    it('an x-request-id of the caller is passed on, and is the trace id where it is a UUID', () => {
      outbound(ALL);
      call([['x-request-id', ID]]);
      answered('a');
      assert.deepEqual(told(at('a'), 'x-request-id'), [ID]);
      assert.deepEqual([spans()[0]!.traceId, spans()[0]!.attributes['outrider.request_id']], [TRACE, ID]);
      call([['x-request-id', 'order 66']]);
      answered('b');
      assert.equal(told(at('b'), 'x-request-id').length, 1);
      assert.match(told(at('b'), 'x-request-id')[0]!, /^[0-9a-f]{32}$/);
    });

    it('each of a hundred has another trace', () => {
      outbound(ALL);
      for (let i = 0; i < 100; i++) {
        call();
        stack.settle(stack.backend(i % 2 === 0 ? 'a' : 'b').last.reply());
      }
      assert.equal(new Set(spans().map(({ traceId }) => traceId)).size, 100);
      assert.equal(new Set(spans().map(({ spanId }) => spanId)).size, 200);
    });
  });

  describe('of a call that is in one', () => {
    it('are below the span of the caller, and follow its flag', () => {
      outbound(OFF);
      call([SAMPLED, ['tracestate', 'a=1']]);
      answered('a');
      const [server, client] = spans();
      assert.deepEqual([server!.traceId, server!.parentId, server!.state], [TRACE, PARENT, 'a=1']);
      assert.deepEqual(told(at('a'), 'traceparent'), [`00-${TRACE}-${client!.spanId}-01`]);
      assert.deepEqual(told(at('a'), 'tracestate'), ['a=1']);
    });

    it('are not made where the flag says so, and the endpoint is told that', () => {
      outbound(ALL);
      call([UNSAMPLED]);
      answered('a');
      assert.deepEqual(spans(), []);
      assert.match(told(at('a'), 'traceparent')[0]!, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    });

    it('are made or not by the sample where the flag is ignored', () => {
      outbound({ ...OFF, parent: 'ignore' });
      call([SAMPLED]);
      answered('a');
      assert.deepEqual(spans(), []);
      assert.match(told(at('a'), 'traceparent')[0]!, /-00$/);
      stack.close();
      outbound({ ...ALL, parent: 'ignore' });
      call([UNSAMPLED]);
      answered('a');
      assert.deepEqual(spans()[0]!.traceId, TRACE);
      assert.match(told(at('a'), 'traceparent')[0]!, /-01$/);
    });

    for (const value of ['', 'nonsense', `00-${'0'.repeat(32)}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01-x`])
      it(`begin anew where traceparent is ${JSON.stringify(value)}`, () => {
        outbound(ALL);
        const done = call([
          ['traceparent', value],
          ['tracestate', 'a=1'],
        ]);
        answered('a');
        const [server, client] = spans();
        assert.equal(done.status, 0);
        assert.deepEqual([server!.parentId, server!.traceId === TRACE], ['', false]);
        assert.deepEqual(told(at('a'), 'traceparent'), [`00-${client!.traceId}-${client!.spanId}-01`]);
        assert.deepEqual(told(at('a'), 'tracestate'), []);
      });

    it('a tracestate of more than 512 characters ends here', () => {
      outbound(OFF);
      call([SAMPLED, ['tracestate', `a=${'x'.repeat(600)}`]]);
      answered('a');
      assert.deepEqual(told(at('a'), 'tracestate'), []);
      assert.equal(spans()[0]!.state, '');
    });
  });

  describe('of a call that is in none', () => {
    it('nothing is sent but, to a sidecar, that this one decides', () => {
      outbound(OFF);
      call();
      answered('a');
      const names = at('a').lists[0]!.map(([name]) => name);
      assert.deepEqual([names.includes('traceparent'), names.includes('x-request-id')], [false, false]);
      assert.deepEqual(told(at('a'), 'outrider-traces'), ['1']);
      assert.deepEqual(spans(), []);
      stack.close();
      outbound(OFF, [aRoute()], { tls: 'plaintext' });
      call();
      answered('a');
      assert.deepEqual(told(at('a'), 'outrider-traces'), []);
    });

    it('it gets an id where all do, which is the trace id once it fails', () => {
      outbound({ ...OFF, requestIds: 'all' });
      call();
      const [id] = told(at('a'), 'x-request-id');
      assert.match(id!, /^[0-9a-f]{32}$/);
      assert.deepEqual(told(at('a'), 'traceparent'), []);
      stack.settle(at('a').fail(13));
      assert.equal(spans()[0]!.traceId, id);
    });
  });

  describe('of a call outside the sample that fails', () => {
    it('say what is known', () => {
      outbound(OFF);
      call();
      stack.settle(at('a').fail(14, [['outrider-reason', 'model-unavailable']]));
      const [server, client] = spans();
      assert.equal(server!.attributes['outrider.reason'], 'model-unavailable');
      assert.deepEqual([server!.error, client!.error], ['model-unavailable', 'UNAVAILABLE']);
      assert.deepEqual([client!.attributes['outrider.outcome'], tracer.calls.failed], ['fault', 1]);
    });

    it('a failure that is the caller’s own is an error of the client alone', () => {
      outbound(OFF);
      call();
      stack.settle(at('a').fail(3));
      assert.deepEqual(
        spans().map(({ error }) => error),
        [undefined, 'INVALID_ARGUMENT'],
      );
    });

    it('are of a call that is retried, whose second attempt connects', () => {
      outbound(OFF, [aSafeRoute()]);
      const done = call();
      stack.advance(10);
      stack.settle(at('a').fail(14));
      stack.advance(5);
      answered('b');
      const [server, first, second] = spans();
      assert.equal(done.status, 0);
      assert.deepEqual(told(at('b'), 'traceparent'), [`00-${second!.traceId}-${second!.spanId}-01`]);
      assert.deepEqual([first!.parentId, second!.parentId], [server!.spanId, server!.spanId]);
      assert.deepEqual(
        [first!.attributes['outrider.retry'], second!.attributes['outrider.retry']],
        [undefined, 1],
      );
      assert.deepEqual([first!.error, second!.error, server!.error], ['UNAVAILABLE', undefined, undefined]);
    });

    it('are of a call that nothing was sent for', () => {
      outbound(OFF);
      stack.kill('a');
      stack.kill('b');
      stack.advance(2_000);
      const done = call([SAMPLED]);
      stack.advance(20_000);
      assert.equal(done.status, 14);
      assert.deepEqual([spans()[0]!.traceId, spans()[0]!.parentId], [TRACE, PARENT]);
      assert.notEqual(spans()[0]!.attributes['outrider.reason'], undefined);
    });

    it('are not more than errors_per_second, and the others are counted', () => {
      outbound({ ...OFF, errorsPerSecond: 3 });
      for (let i = 0; i < 8; i++) {
        call();
        stack.settle(at(i % 2 === 0 ? 'a' : 'b').fail(3));
      }
      assert.deepEqual([spans().length, queue.dropped['error-limit']], [6, 10]);
    });

    it('are dropped before they are made while the queue is full', () => {
      outbound(OFF);
      while (queue.hasRoom) queue.add(Buffer.alloc(1), 1, 1);
      call();
      stack.settle(at('a').fail(14));
      assert.deepEqual([queue.dropped.full, tracer.calls.failed], [2, 0]);
    });
  });

  describe('of other ends', () => {
    it('a stream has its spans at its end, and one that its caller leaves says so', () => {
      outbound(ALL, [aStreamRoute()]);
      const stream = stack.settle(app.call());
      stack.settle(at('a').begin().data(Buffer.alloc(7)));
      stack.advance(60_000);
      assert.deepEqual(spans(), []);
      stack.settle(stream.reset());
      const [server, client] = spans();
      assert.deepEqual(
        [server!.attributes['rpc.grpc.status_code'], client!.attributes['outrider.ended']],
        [1, 'cancelled'],
      );
      assert.equal(server!.end - server!.start, 60_000_000_000n);
    });

    it('an attempt that was left for its silence is told from one whose time was over', () => {
      outbound(ALL, [
        aRoute({ methods: ['/a.B/Get'], attemptTimeoutMs: 500 }),
        aStreamRoute({ methods: ['/a.B/Watch'], messageTimeoutMs: 500 }),
      ]);
      const names: unknown[] = [];
      for (const [i, path] of ['/a.B/Get', '/a.B/Watch', '/a.B/Get', '/a.B/Watch'].entries()) {
        stack.settle(app.call({ path }));
        if (path === '/a.B/Watch')
          stack.settle(
            at('b')
              .begin()
              .data(grpcMessage(Buffer.from('x'))),
          );
        stack.advance(2_000);
        assert.equal(spans().length, 2 * (i + 1));
        names.push(spans().at(-1)!.attributes['outrider.ended']);
      }
      assert.deepEqual(names, ['attempt-timeout', 'message-timeout', 'attempt-timeout', 'message-timeout']);
    });

    it('a call of 600 KB says how large it was', () => {
      outbound(ALL);
      stack.settle(app.call({ body: Buffer.alloc(602_112) }));
      answered('a');
      assert.equal(spans()[0]!.attributes['outrider.request_bytes'], 602_112);
    });

    it('a span that cannot be made ends no call', () => {
      outbound(ALL);
      const make = CallSpans.prototype.write;
      CallSpans.prototype.write = () => {
        throw new RangeError('no room');
      };
      const done = call();
      answered('a');
      CallSpans.prototype.write = make;
      assert.deepEqual([done.status, queue.dropped.encode, queue.spans], [0, 1, 0]);
    });

    it('paths that callers choose are cut, and take a bounded room', () => {
      outbound(ALL);
      for (let i = 0; i < 600; i++) {
        stack.settle(app.call({ path: `/p.S/${'M'.repeat(300)}${i}` }));
        stack.settle(stack.backend(i % 2 === 0 ? 'a' : 'b').last.reply());
      }
      for (const { name } of spans()) assert.ok(name.length < 200, name);
    });
  });

  describe('at the model', () => {
    let side: InboundStack;
    const inbound = (settings: TracerSettings): void => {
      begin(settings);
      side = stack.inbound(anInbound({ queue: { concurrency: 1 } }));
      app = stack.app(side.listener, 'app');
    };

    it('the model is told of the trace, and the spans say which service called and what it waited', () => {
      inbound(OFF);
      call([SAMPLED]);
      call([SAMPLED]);
      const [first] = side.model.requests;
      stack.advance(30);
      stack.settle(first!.reply());
      stack.settle(side.model.last.reply());
      const all = spans();
      const client = all.at(-1)!;
      assert.deepEqual(told(side.model.last, 'traceparent'), [`00-${TRACE}-${client.spanId}-01`]);
      assert.deepEqual(
        [client.attributes['outrider.endpoint'], client.attributes['outrider.wait_ms']],
        ['local', 30],
      );
      const server = all.find(({ spanId }) => spanId === client.parentId)!;
      assert.deepEqual(
        [server.attributes['outrider.caller'], server.attributes['outrider.service']],
        ['app', 'digits'],
      );
    });

    it('a call that the caller’s sidecar does not trace begins none here, and is not marked for the model', () => {
      inbound(ALL);
      call([['outrider-traces', '1']]);
      stack.settle(side.model.last.reply());
      assert.deepEqual(spans(), []);
      assert.deepEqual(
        [told(side.model.last, 'outrider-traces'), told(side.model.last, 'traceparent')],
        [[], []],
      );
    });

    it('a call that is denied has a span without attempts', () => {
      inbound(OFF);
      app = stack.app(side.listener, 'stranger');
      assert.equal(call().status, 7);
      assert.equal(spans().length, 1);
      assert.equal(spans()[0]!.attributes['outrider.reason'], 'not-allowed');
    });
  });

  it('hedges are no failure, and their span says what they are', () => {
    const hedge = { percentile: 0.6, minDelayMs: 1, maxRatio: 0.5 };
    outbound(ALL, [aRoute({ idempotent: true, hedge })], { budget: { ratio: 1, perSecond: 1_000 } });
    for (let i = 0; i < 40; i++) {
      call();
      stack.advance(20);
      stack.settle(stack.backend(i % 2 === 0 ? 'a' : 'b').last.reply());
    }
    queue.clear();
    call();
    stack.advance(60);
    answered('b');
    const [server, first, second] = spans();
    assert.deepEqual([first!.attributes['outrider.ended'], first!.error], ['superseded', undefined]);
    assert.deepEqual([second!.attributes['outrider.hedge'], server!.error], [1, undefined]);
  });
});
