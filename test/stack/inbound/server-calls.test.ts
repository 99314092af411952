/** Calls about the server rather than its work: however many a caller opens, they keep no call and no health check out. */
import assert from 'node:assert/strict';
import { ENGINE_CODECS, type EngineName } from '../../../sidecar/codec/engines/engine-codecs.js';
import { healthQuestion } from '../../../sidecar/codec/health.js';
import { HealthResponder } from '../../../sidecar/health/model/responder.js';
import { grpcMessage, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, statusesOf } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { type Application, aRoute, MESSAGE } from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const REFLECT = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const SERVING = '00000000020801';
/** Of one connection to the model; there are at most four. */
const STREAMS = 12;

describe('Calls about the server, inbound,', () => {
  let stack: ModelStack;

  beforeEach(() => {
    const peer = { settings: [[Setting.maxConcurrentStreams, STREAMS]] } as const;
    const intentions = ['app', 'other'].map((from) => ({ from, to: 'digits', action: 'allow' }) as const);
    const queue = { concurrency: 4, maxWaiting: 16 };
    stack = new ModelStack({ intentions, queue, routes: [aRoute({ timeoutMs: 0 })] }, { peer });
    stack.side.inbound.state.health = new HealthResponder((service) => (service === '' ? true : undefined));
    stack.model.answer = (stream) => {
      if (stream.header(':path') === '/inference.GRPCInferenceService/ModelInfer') stream.reply();
    };
  });

  const other = (): Application => stack.caller('other');
  const hoard = (n: number, path: string, body: Buffer | null): PeerStream[] => {
    const calls = Array.from({ length: n }, () => {
      const call = stack.peer.call({ path, body });
      return body === null ? call.data(MESSAGE) : call;
    });
    stack.run();
    return calls;
  };
  /** The calls of another caller that were answered, of three. */
  const answered = (): number => {
    const app = other();
    const calls = Array.from({ length: 3 }, () => app.call({ timeout: '2S' }));
    stack.advance(2_100);
    return statusesOf(calls).filter((status) => status === 0).length;
  };
  const running = (calls: readonly PeerStream[]): number => calls.filter(({ isOver }) => !isOver).length;
  const TOO_MANY = [8, 'too-many-streams'] as const;
  /** A message that says it is compressed: the sidecar does not read it. */
  const UNREAD = grpcMessage(Buffer.from('packed'), 6, 1);

  for (const [what, path, body] of [
    ['watches of the server', WATCH, healthQuestion('')],
    ['watches that the model has to answer', WATCH, UNREAD],
    ['reflection streams', REFLECT, null],
    ['checks that the model has to answer', CHECK, UNREAD],
  ] as const)
    it(`200 ${what} of one caller keep no call of another out`, () => {
      hoard(200, path, body);
      assert.equal(answered(), 3);
    });

  it('streams that go to the model are bounded for each caller and for all, and their places are free at their ends', () => {
    const own = hoard(6, REFLECT, null);
    assert.equal(running(own), 4);
    assertEnd(own[5]!, TOO_MANY, {
      'grpc-message': /app: it has 4 streams about the server at the model, the most that one caller/,
    });
    const theirs = other();
    const more = stack.settle(Array.from({ length: 5 }, () => theirs.call({ path: REFLECT, body: null })));
    assert.equal(running(more), 4);
    assertEnd(stack.call({ path: WATCH, body: UNREAD }), TOO_MANY);
    assert.equal(stack.requests.length, 8);
    stack.settle(own[0]!.reset());
    stack.settle(stack.requests[1]!.begin().trailers(0));
    assert.equal(running(hoard(3, REFLECT, null)), 2);
  });

  it('a stream of them is under the rate limits, a health check is not', () => {
    stack.reload({
      intentions: [{ from: 'app', to: 'digits', action: 'allow' }],
      rateLimits: [{ callers: ['app'], methods: ['*'], perSecond: 1, burst: 1 }],
    });
    const calls = hoard(2, REFLECT, null);
    assert.equal(running(calls), 1);
    assertEnd(calls[1]!, [8, 'rate-limited']);
    for (let i = 0; i < 5; i++) hoard(1, CHECK, UNREAD);
    assert.equal(stack.requests.filter((each) => each.header(':path') === CHECK).length, 5);
  });

  it('under full load health checks are answered: those that are known at once, others by the model', () => {
    stack.model.answer = (stream) => {
      if (stream.header(':path') === CHECK) stream.reply(Buffer.from('the model'));
    };
    hoard(200, WATCH, healthQuestion(''));
    hoard(30, REFLECT, null);
    hoard(20, '/inference.GRPCInferenceService/ModelInfer', MESSAGE);
    assert.equal(stack.side.backend.queue.isFull, true);
    assert.equal(stack.call({ path: CHECK, body: healthQuestion('') }).body.toString('hex'), SERVING);
    assert.equal(
      stack.call({ path: CHECK, body: healthQuestion('') }, other()).body.toString('hex'),
      SERVING,
    );
    assert.equal(stack.call({ path: CHECK, body: UNREAD }, other()).body.toString(), 'the model');
  });

  describe('of a language-model engine that is full:', () => {
    const engineOf = (engine: EngineName | undefined, methods: readonly string[] = []): void =>
      stack.reload({
        intentions: ['app', 'other'].map((from) => ({ from, to: 'digits', action: 'allow' })),
        queue: { concurrency: 4, maxWaiting: 16 },
        ...(engine === undefined ? {} : { engine }),
        ...(methods.length === 0
          ? {}
          : { rateLimits: [{ callers: ['app'], methods, perSecond: 1, burst: 1 }] }),
      });
    const fill = (): void => {
      hoard(20, ENGINE_CODECS.vllm.generate, MESSAGE);
      assert.equal(stack.side.backend.queue.isFull, true);
    };

    for (const [name, { abort, queries, downloads }] of Object.entries(ENGINE_CODECS))
      it(`Abort and queries of ${name} get to it, and those that are urgent also over a rate; Generate waits`, () => {
        const engine = name as EngineName;
        const urgent = [abort, queries[0]!];
        const all = [...urgent, ...queries.slice(1), ...downloads];
        const ask = (path: string): void => {
          const call = hoard(1, path, MESSAGE)[0]!;
          assert.equal(stack.requests.at(-1)!.header(':path'), path);
          stack.settle(stack.requests.at(-1)!.reply(Buffer.from('the engine')));
          assert.equal(call.body.toString(), 'the engine');
        };
        engineOf(engine);
        fill();
        for (let i = 0; i < 3; i++) for (const path of all) ask(path);
        engineOf(engine, all);
        for (let i = 0; i < 3; i++) for (const path of urgent) ask(path);
        const before = stack.requests.length;
        for (const path of all.slice(2)) hoard(2, path, MESSAGE);
        assert.equal(stack.requests.length - before, 1, 'the burst of the limit');
        assertEnd(hoard(1, queries[1]!, MESSAGE)[0]!, [8, 'rate-limited']);
      });

    it('where the sidecar is not told that its model is one, or is told of another, they wait and count as all calls do', () => {
      const { abort, queries, downloads } = ENGINE_CODECS.vllm;
      for (const engine of [undefined, 'sglang'] as const) {
        engineOf(engine);
        if (engine === undefined) fill();
        const before = stack.requests.length;
        for (const path of [abort, ...queries, ...downloads]) hoard(1, path, MESSAGE);
        assert.equal(stack.requests.length, before);
        engineOf(engine, [abort]);
        const calls = hoard(3, abort, MESSAGE);
        assertEnd(calls[2]!, [8, 'rate-limited']);
      }
    });

    it('downloads have a bound of their own', () => {
      engineOf('vllm');
      fill();
      const own = hoard(40, ENGINE_CODECS.vllm.downloads[1]!, MESSAGE);
      assert.equal(running(own), 32);
      assertEnd(own[39]!, TOO_MANY, {
        'grpc-message': /app: it has 32 downloads from the engine at the model/,
      });
      assert.equal(running(hoard(1, ENGINE_CODECS.vllm.abort, MESSAGE)), 1);
      assert.equal(running(hoard(1, REFLECT, null)), 1);
    });

    it('they are bounded for each caller, and keep no health check out', () => {
      engineOf('vllm');
      fill();
      const own = hoard(40, ENGINE_CODECS.vllm.abort, MESSAGE);
      assert.equal(running(own), 32);
      assertEnd(own[39]!, TOO_MANY, { 'grpc-message': /app: it has 32 queries of the engine at the model/ });
      const before = stack.requests.length;
      hoard(1, CHECK, UNREAD);
      assert.equal(stack.requests.length, before + 1);
    });
  });
});
