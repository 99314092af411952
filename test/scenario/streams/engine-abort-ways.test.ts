/** A client aborts answers by whatever route its Aborts take, compressed or not, and beside others that use the same ids. */
import assert from 'node:assert/strict';
import { deflateSync, gzipSync } from 'node:zlib';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import {
  ABORT,
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { decodeAbort, encodeAbort, encodeRequest, encodeResponse } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aRoute, aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const NO_COUNTS = { prompt_tokens: 4, completion_tokens: 0, cached_tokens: 0 };
const GIVEN_UP = grpcMessage(
  encodeResponse({ complete: { output_ids: [], finish_reason: 'abort', ...NO_COUNTS } }),
);
const BY_CHANCE = { sampling_params: { max_tokens: 20 } };
const MANY_IDS = Array.from({ length: 400 }, (_, i) => 1 + (i % 100));

describe('Scenario: Abort finds the engine of its request', () => {
  let stack: UpstreamStack;
  let arrived: { readonly at: string; readonly stream: PeerStream }[];

  const start = (over: UpstreamOptions = {}, names = ['a', 'b']): void => {
    stack = new UpstreamStack(names, {
      routes: [aStreamRoute()],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ...over,
    });
    arrived = [];
    for (const name of names)
      stack.backend(name).answer = (stream) => {
        if (stream.header(':path')?.startsWith('/vllm.')) arrived.push({ at: name, stream });
        else stream.fail(12);
      };
  };
  const latest = () => arrived.at(-1)!;
  const open = (over: Partial<GenerateRequest> = {}, caller = stack.caller): PeerStream =>
    stack.settle(caller.call({ path: GENERATE, body: framedRequest(aGenerateRequest(over)) }));
  const abort = (id: string, caller = stack.caller): PeerStream =>
    stack.settle(caller.call({ path: ABORT, body: grpcMessage(encodeAbort([id])) }));
  const abortedBy = (stream: PeerStream): readonly string[] => decodeAbort(stream.body.subarray(5));
  const begin = (stream: PeerStream, count = 3): void =>
    void stack.settle(
      stream.begin().data(Buffer.concat(messagesFor(requestIn(stream.body), () => 1).slice(0, count))),
    );
  const reply = (): void => void stack.settle(latest().stream.reply(Buffer.alloc(0)));
  const assertAborted = (calls: readonly PeerStream[]): void => {
    for (const call of calls) {
      assert.deepEqual([call.isOver, call.status, call.reason], [true, 0, undefined]);
      assert.equal(readAnswer(call.body).complete!.finish_reason, 'abort');
    }
    for (const name of stack.names) assert.equal(stack.endpoint(name).outcomes[1], 0, `faults of ${name}`);
    assert.equal(stack.out.outbound.state.engineCalls.size, 0);
    stack.assertIdle();
  };

  const VLLM = '/vllm.grpc.engine.VllmEngine';
  for (const [what, routes] of [
    ['all other methods', [aStreamRoute({ methods: [GENERATE] }), aRoute({ methods: [`${VLLM}/*`] })]],
    ['Abort alone', [aRoute({ methods: [ABORT] }), aStreamRoute()]],
  ] as const)
    it(`also by a unary route of ${what}`, () => {
      start({ routes });
      const calls = ['u', 'v', 'w', 'x', 'y', 'z'].map((request_id) => open({ request_id }));
      const requests = arrived.map(({ at, stream }) => ({
        at,
        stream,
        id: requestIn(stream.body).request_id!,
      }));
      for (const { stream } of requests) begin(stream);
      for (const { at, id } of requests) {
        const call = abort(id);
        assert.deepEqual([latest().at, abortedBy(latest().stream)], [at, [id]]);
        reply();
        assert.equal(call.status, 0);
      }
      for (const { stream } of requests) stack.settle(stream.data(GIVEN_UP).trailers(0));
      assertAborted(calls);
    });

  it('by such a route, of an answer that another engine continues', () => {
    start({ routes: [aStreamRoute({ methods: [GENERATE] }), aRoute()] });
    const call = open();
    begin(latest().stream);
    stack.settle(latest().stream.trailers(14));
    stack.advance(300);
    const { at, stream } = latest();
    begin(stream);
    abort('r-1');
    assert.deepEqual([latest().at, abortedBy(latest().stream)], [at, [requestIn(stream.body).request_id]]);
    reply();
    stack.settle(stream.data(GIVEN_UP).trailers(0));
    assert.equal(call.status, 0);
    stack.assertIdle();
  });

  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)
    it(`though its client compresses: ${encoding}`, () => {
      start();
      const send = (path: string, message: Buffer): PeerStream => {
        const body = grpcMessage(compress(message), undefined, 1);
        return stack.call({ path, body, metadata: [['grpc-encoding', encoding]] });
      };
      const tokenized = { original_text: '', input_ids: MANY_IDS };
      const ids = ['x', 'y', 'z'];
      const requests = ids.map((id) => aGenerateRequest({ request_id: id, tokenized }));
      const calls = requests.map((each) => send(GENERATE, encodeRequest(each)));
      const generating = [...arrived];
      for (const [i, { stream }] of generating.entries())
        stack.settle(stream.begin().data(messagesFor(requests[i]!, () => 1)[0]!));
      for (const [i, id] of ids.entries()) {
        if (i === 0) abort(id);
        else send(ABORT, encodeAbort([id]));
        assert.equal(latest().at, generating[i]!.at);
        reply();
      }
      for (const { stream } of generating) stack.settle(stream.data(GIVEN_UP).trailers(0));
      assertAborted(calls);
    });

  it('though its request is larger than what is kept of one', () => {
    start({ routes: [aStreamRoute({ replayBytes: 300 })] });
    const tokenized = { original_text: '', input_ids: MANY_IDS };
    const ids = ['x', 'y', 'z'];
    const calls = ids.map((request_id) => open({ request_id, tokenized }));
    const generating = [...arrived];
    for (const { stream } of generating) begin(stream);
    for (const [i, id] of ids.entries()) {
      abort(id);
      assert.equal(latest().at, generating[i]!.at);
      reply();
    }
    for (const { stream } of generating) stack.settle(stream.data(GIVEN_UP).trailers(0));
    assertAborted(calls);
  });

  describe('but not of a request that is not known:', () => {
    const UNKNOWN = 'x'.repeat(600);
    let asked: number;

    beforeEach(() => {
      asked = 0;
    });

    /** So many answers run at the only engine, the first `unknown` of them under ids that are not known. */
    const run = (count: number, unknown: number): { calls: PeerStream[]; streams: PeerStream[] } => {
      const ids = Array.from({ length: count }, (_, i) => (i < unknown ? UNKNOWN : 'r') + i);
      const before = arrived.length;
      const calls = ids.map((request_id) => open({ request_id }));
      const streams = arrived.slice(before).map(({ stream }) => stream);
      for (const stream of streams) begin(stream);
      asked += count;
      return { calls, streams };
    };
    const end = (streams: readonly PeerStream[]): void => {
      for (const stream of streams) stack.settle(stream.data(GIVEN_UP).trailers(0));
    };
    const abortVainly = (times: number, everyMs = 0): void => {
      for (let i = 0; i < times; i++) {
        abort(`over-${i}`);
        reply();
        if (everyMs > 0) stack.advance(everyMs);
      }
    };
    /** The engine has stopped, and is there again: each is asked for once more, and is whole. */
    const assertBegunAgain = (calls: readonly PeerStream[]): void => {
      stack.advance(300);
      const again = arrived.filter(({ stream }) => stream.header(':path') === GENERATE).slice(asked);
      assert.equal(again.length, calls.length);
      for (const { stream } of again)
        stack.settle(
          stream
            .begin()
            .data(Buffer.concat(messagesFor(requestIn(stream.body), () => 1)))
            .trailers(0),
        );
      for (const call of calls) {
        assert.deepEqual([call.status, call.reason], [0, undefined]);
        assert.notEqual(readAnswer(call.body).complete!.finish_reason, 'abort');
      }
      stack.assertIdle();
    };

    it('that its answer ends says nothing against its engine', () => {
      start({}, ['a']);
      const calls = [open({ request_id: UNKNOWN }), open({ request_id: UNKNOWN, ...BY_CHANCE })];
      const streams = arrived.map(({ stream }) => stream);
      for (const stream of streams) begin(stream);
      for (const stream of streams) {
        abort(UNKNOWN);
        reply();
        end([stream]);
      }
      stack.advance(1_100);
      assert.equal(arrived.length, 4);
      assertAborted(calls);
    });

    it('nor do six that end so within a second', () => {
      start({}, ['a']);
      const { calls, streams } = run(6, 6);
      abortVainly(6);
      stack.advance(900);
      end(streams);
      stack.advance(1_100);
      assert.equal(arrived.length, 12);
      assertAborted(calls);
    });

    it('and an engine that stops just then is found all the same', () => {
      start({}, ['a']);
      const { calls, streams } = run(3, 0);
      abortVainly(1);
      end(streams);
      assertBegunAgain(calls);
    });

    for (const [what, times, everyMs] of [
      ['one a second', 8, 1_000],
      ['twenty at once', 20, 0],
    ] as const)
      for (const [whose, unknown] of [
        ['known', 0],
        ['unknown', 2],
      ] as const)
        if (everyMs > 0 || unknown === 0)
          it(`nor do Aborts that come too late hide that, ${what}, of two answers of ${whose} ids`, () => {
            start({}, ['a']);
            const { calls, streams } = run(2, unknown);
            abortVainly(times, everyMs);
            end(streams);
            assertBegunAgain(calls);
          });

    it('nor do six that end answers hide it, with two more that end none', () => {
      start({}, ['a']);
      const meant = run(6, 6);
      const others = run(2, 0);
      abortVainly(8);
      end([...meant.streams, ...others.streams]);
      assertBegunAgain([...meant.calls, ...others.calls]);
    });

    it('nor does an Abort of several that are known', () => {
      start({}, ['a']);
      const aborted = run(4, 0);
      const others = run(2, 2);
      const ids = aborted.streams.map((stream) => requestIn(stream.body).request_id!);
      stack.settle(stack.caller.call({ path: ABORT, body: grpcMessage(encodeAbort(ids)) }));
      reply();
      end(aborted.streams);
      for (const call of aborted.calls) assert.equal(readAnswer(call.body).complete!.finish_reason, 'abort');
      end(others.streams);
      assertBegunAgain(others.calls);
    });
  });

  describe('where two have the same id,', () => {
    it('by the connection of the client', () => {
      start();
      const other = stack.app(stack.out.listener);
      const calls = [open(), open({}, other)];
      const generating = [...arrived];
      for (const { stream } of generating) begin(stream);
      for (const [i, caller] of [stack.caller, other].entries()) {
        const { at, stream } = generating[i]!;
        abort('r-1', caller);
        assert.deepEqual([latest().at, abortedBy(latest().stream)], [at, ['r-1']]);
        reply();
        stack.settle(stream.data(GIVEN_UP).trailers(0));
        assert.deepEqual(
          calls.map(({ isOver }) => isOver),
          [true, i === 1],
        );
      }
      assertAborted(calls);
    });

    it('also once one of them is over', () => {
      start();
      const calls = [open(), open({}, stack.app(stack.out.listener))];
      const [first, second] = [...arrived];
      for (const { stream } of [first!, second!]) begin(stream);
      stack.settle(second!.stream.trailers(0));
      assert.equal(calls[1]!.isOver, true);
      abort('r-1');
      assert.equal(latest().at, first!.at);
      reply();
      stack.settle(first!.stream.data(GIVEN_UP).trailers(0));
      assert.equal(readAnswer(calls[0]!.body).complete!.finish_reason, 'abort');
      stack.assertIdle();
    });

    it('and the connection does not tell: both end', () => {
      start();
      const calls = [open(), open()];
      const generating = [...arrived];
      for (const { stream } of generating) begin(stream);
      abort('r-1', stack.app(stack.out.listener));
      assert.equal(latest().at, generating[0]!.at);
      reply();
      stack.settle(generating[0]!.stream.data(GIVEN_UP).trailers(0));
      assert.equal(calls[0]!.status, 0);
      assert.deepEqual([calls[1]!.status, calls[1]!.reason], [1, 'answer-aborted']);
      assert.equal(generating[1]!.stream.resetCode, 8);
      stack.assertIdle();
    });

    it('their continuations differ: an engine gets no request of two sidecars under one id', () => {
      start({}, ['a', 'b']);
      const beside = stack.outbound(
        anUpstream(['a', 'b'], {
          routes: [aStreamRoute()],
          engine: 'vllm',
          budget: { ratio: 1, perSecond: 9 },
        }),
      );
      const callers = [stack.caller, stack.app(beside.listener)];
      for (const caller of callers) open({}, caller);
      const first = [...arrived];
      for (const { stream } of first) begin(stream);
      for (const { stream } of first) stack.settle(stream.trailers(14));
      stack.advance(300);
      const ids = arrived.slice(2).map(({ stream }) => requestIn(stream.body).request_id!);
      assert.equal(ids.length, 2);
      assert.notEqual(ids[0], ids[1]);
      for (const id of ids) assert.match(id, /^r-1~1-[0-9a-z]{6,}$/);
    });
  });
});
