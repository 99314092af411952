/** Inbound: authorization, the queue of a model, and what becomes of calls when the model goes away. */
import assert from 'node:assert/strict';
import { type Action, IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import type { Permission } from '../../../sidecar/core/authorization/permissions.js';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, assertUnprocessed, bodiesOf, statusesOf } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import {
  aRoute,
  aStreamRoute,
  type CallOptions,
  type InboundOptions,
  MESSAGE,
} from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const REFLECT = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';

describe('Inbound', () => {
  let stack: ModelStack;

  const start = (over: InboundOptions = {}, ready = true): ModelStack => {
    stack = new ModelStack(over, { ready });
    return stack;
  };
  const answering = (over: InboundOptions = {}): ModelStack => {
    start(over);
    stack.model.answer = (stream) => stream.reply();
    return stack;
  };
  const last = (): PeerStream => stack.model.last;
  const timeLeft = (stream: PeerStream): number => parseGrpcTimeout(stream.header('grpc-timeout')!);

  describe('authorization', () => {
    it('a caller that an intention allows reaches the model, which gets its verified identity', () => {
      answering();
      assert.equal(stack.call({ metadata: [['outrider-caller', 'root']] }).status, 0);
      const callers = last().lists[0]!.filter(([name]) => name === 'outrider-caller');
      assert.deepEqual(callers, [['outrider-caller', 'app']]);
      assert.equal(last().header(':scheme'), 'http');
    });

    it('no other spelling of a reserved name reaches the model', () => {
      answering();
      const names = ['outrider_caller', 'outrider.caller', 'x_forwarded_client_cert'];
      stack.call({ metadata: names.map((name): Field => [name, 'root']) });
      assert.deepEqual(
        names.map((name) => last().header(name)),
        [undefined, undefined, undefined],
      );
    });

    it('forwarded-client headers of a caller never reach the model', () => {
      answering();
      const forged = (n: number): Field[] => [
        ['x-forwarded-client-cert', `By=spiffe://mesh/a;URI=spiffe://mesh/root-${n}`],
        ['forwarded', `for=10.0.0.${n};by=gateway`],
        ['x-tenant', `t${n}`],
      ];
      const names = ['x-forwarded-client-cert', 'forwarded', 'outrider-caller', 'x-tenant'];
      // The first are remembered as they are, those after a while are taken for what varies from call to call.
      for (let n = 0; n < 3000; n++) {
        stack.call({ metadata: n === 0 ? [...forged(0), ...forged(0)] : forged(n) });
        const found = names.map((name) => last().header(name));
        assert.deepEqual(found, [undefined, undefined, 'app', `t${n}`]);
      }
    });

    for (const [said, told] of [
      ['2', '2'],
      ['10', undefined],
      ['x', undefined],
    ] as const) {
      it(`the number of previous attempts reaches the model: ${told} for ${said}`, () => {
        start().call({ metadata: [['grpc-previous-rpc-attempts', said]] });
        assert.equal(last().header('grpc-previous-rpc-attempts'), told);
      });
    }

    it('a call without an intention is not allowed', () => {
      const call = start({ intentions: [] }).call();
      assertEnd(call, [7, 'not-allowed'], { 'grpc-message': /app may not call digits/ });
      assert.deepEqual([call.isTrailersOnly, stack.requests.length], [true, 0]);
    });

    it('a caller without identity is refused where mTLS is strict', () => {
      start({ defaultIntention: 'allow' });
      assertEnd(stack.call({}, stack.caller()), [16, 'no-identity']);
    });

    it('a caller without identity needs an intention for every service where mTLS is permissive', () => {
      answering({ mtls: 'permissive', intentions: [{ from: '*', to: 'digits', action: 'allow' }] });
      const call = stack.call({ metadata: [['outrider-caller', 'root']] }, stack.caller());
      assert.deepEqual([call.status, last().header('outrider-caller')], [0, undefined]);
    });

    it('authorization comes before the route, so that a caller that is refused learns of no methods', () => {
      start({ intentions: [], routes: [aRoute({ methods: [CHECK] })] });
      assert.equal(stack.call().status, 7);
    });
  });

  describe('a revoked intention', () => {
    const revoke = (): void =>
      stack.reload({
        routes: [aStreamRoute()],
        intentions: [
          { from: 'app', to: 'digits', action: 'deny' },
          { from: 'other', to: 'digits', action: 'allow' },
        ],
      });

    it('an intention that is revoked refuses the next call on an open connection', () => {
      answering().call();
      revoke();
      assertEnd(stack.call(), [7, 'not-allowed']);
      assert.equal(stack.requests.length, 1);
    });

    it("an intention that is revoked ends the caller's open streams and its queued calls, and those of no other caller", () => {
      const intentions = [{ from: '*', to: 'digits', action: 'allow' }] as const;
      start({ routes: [aStreamRoute()], queue: { concurrency: 2 }, intentions });
      const flowing = stack.peer.call({ body: null });
      const kept = stack.call({ body: null }, stack.caller('other'));
      for (const stream of stack.requests) stream.begin().data(Buffer.from('so far'));
      const waiting = stack.call();
      assert.equal(stack.side.backend.queue.waiting, 1);
      revoke();
      for (const call of [flowing, waiting]) assertEnd(call, [7, 'not-allowed']);
      assert.deepEqual([flowing.body.toString(), kept.isOver], ['so far', false]);
      assert.deepEqual([stack.requests[0]!.resetCode, stack.requests[1]!.resetCode], [8, undefined]);
      kept.end();
      stack.settle(stack.requests[1]!.trailers(0));
      assert.equal(kept.status, 0);
    });
  });

  describe('an intention with permissions', () => {
    const INFER = '/inference.GRPCInferenceService/ModelInfer';
    const READY = '/inference.GRPCInferenceService/ModelReady';
    const infer = { action: 'allow', pathExact: INFER } as const;
    const team = { name: 'x-team', kind: 'exact', value: 'a', invert: false, ignoreCase: false } as const;
    let version = 100;

    const permit = (permissions: readonly Permission[], source = 'app', otherwise: Action = 'deny'): void => {
      const intention = { from: source, to: 'digits', action: 'deny', permissions } as const;
      const table = new IntentionTable([intention], otherwise, ++version);
      stack.settle(stack.side.inbound.state.setIntentions(table, stack.side.listener.sessions));
    };
    const statusOf = (...metadata: Field[]): number => stack.call({ path: INFER, metadata }).status;
    const statusesAt = (paths: readonly string[], from = stack.peer): number[] =>
      statusesOf(paths.map((path) => stack.call({ path }, from)));

    it('an intention with permissions allows or denies each call', () => {
      answering();
      permit([infer]);
      assert.deepEqual(statusesAt([INFER, READY, INFER]), [0, 7, 0]);
      permit([{ ...infer, headers: [team] }]);
      assert.deepEqual([statusOf(), statusOf(['x-team', 'a'])], [7, 0]);
      assert.equal(statusOf(['x-team', 'a'], ['x-team', 'b']), 7);
      permit([{ ...infer, action: 'deny' }], 'app', 'allow');
      assert.deepEqual(statusesAt([INFER, READY, '/x.Y/Z/']), [7, 0, 7]);
    });

    it("a permission on an `outrider-*` header matches no caller's own header", () => {
      start();
      const present = { ...team, name: 'outrider-caller', kind: 'present' } as const;
      permit([{ action: 'allow', headers: [present] }]);
      assert.equal(statusOf(['outrider-caller', 'root']), 7);
    });

    it('a permission of the wildcard holds for a caller without identity', () => {
      answering({ mtls: 'permissive' });
      permit([infer], '*');
      assert.deepEqual(statusesAt([INFER, READY], stack.caller()), [0, 7]);
    });

    it('a permission that no longer covers an open call ends it, and no other', () => {
      start({ routes: [aStreamRoute()], queue: { concurrency: 4 } });
      const open = [INFER, READY].map((path) => stack.call({ path, body: null }));
      for (const stream of stack.requests) stream.begin();
      permit([{ action: 'allow' }]);
      assert.ok(!open.some(({ isOver }) => isOver));
      permit([infer]);
      assert.deepEqual(statusesOf(open), [-1, 7]);
    });
  });

  it('a call under way that is denied is in the audit log once, whichever change denies it', () => {
    const permissions = [{ action: 'allow', pathExact: '/x.Y/Z' }] as const;
    const changes = [
      new IntentionTable([], 'deny', 60),
      new IntentionTable([{ from: 'app', to: 'digits', action: 'deny', permissions }], 'deny', 61),
      // Of a call that the model has seen nothing else can be said.
      IntentionTable.notLoaded(62),
    ];
    for (const change of changes) {
      start({ routes: [aStreamRoute()] });
      const call = stack.call({ body: null });
      stack.requests[0]!.begin();
      const { inbound, listener } = stack.side;
      stack.settle(inbound.state.setIntentions(change, listener.sessions));
      assert.equal(call.status, 7);
      const fields = { source: 'app', destination: 'digits' };
      assert.deepEqual(stack.audited, [{ kind: 'call-denied', fields }]);
      stack.close();
    }
  });

  it('a call before the intentions are loaded is refused as never processed', () => {
    start({ mtls: 'permissive' });
    const { inbound, listener } = stack.side;
    inbound.state.setIntentions(IntentionTable.notLoaded(50), listener.sessions);
    for (const from of [stack.peer, stack.caller()]) {
      const message = 'the intentions for digits are not known yet';
      assertUnprocessed(stack.call({}, from), [14, 'intentions-not-loaded'], { 'grpc-message': message });
    }
    stack.model.answer = (stream) => stream.reply();
    inbound.state.setIntentions(new IntentionTable([], 'allow', 51), listener.sessions);
    assert.equal(stack.call().status, 0);
  });

  describe('the queue of a model', () => {
    const fill = (n: number, options: CallOptions = {}): PeerStream[] =>
      stack.settle(Array.from({ length: n }, () => stack.peer.call(options)));
    const queue = () => stack.side.backend.queue;
    const answer = (i: number, body = 'answer'): void =>
      void stack.settle(stack.requests[i]!.reply(Buffer.from(body)));

    it('the queue lets `concurrency` calls through, and the rest in the order of their arrival', () => {
      start({ queue: { concurrency: 2 } });
      const calls = fill(5);
      assert.deepEqual([stack.requests.length, queue().running, queue().waiting], [2, 2, 3]);
      for (let i = 0; i < 5; i++) {
        answer(i, String(i));
        assert.equal(stack.requests.length, Math.min(5, i + 3));
      }
      assert.deepEqual(bodiesOf(calls), ['0', '1', '2', '3', '4']);
    });

    it('the queue refuses one call more than `max_waiting`, with a pushback', () => {
      start({ queue: { concurrency: 1, maxWaiting: 2 } });
      const refused = fill(4)[3]!;
      assertUnprocessed(refused, [8, 'overloaded'], { 'grpc-message': /2 calls are waiting/ });
      assert.ok(Number(refused.trailer('grpc-retry-pushback-ms')) >= 1);
    });

    it('the queue refuses more bytes than `max_waiting_bytes`', () => {
      start({ queue: { concurrency: 1, maxWaitingBytes: 1500 } });
      assertEnd(fill(3, { body: Buffer.alloc(1000) })[2]!, [8, 'overloaded']);
      assert.equal(queue().waitingBytes, 1000);
    });

    it('the queue refuses on arrival a call that would not end before its deadline', () => {
      start({ queue: { concurrency: 1 } });
      const [first] = fill(1);
      stack.advance(500);
      answer(0);
      assert.equal(first!.status, 0);
      fill(2);
      const late = stack.peer.call({ timeout: '300m' });
      const early = stack.call({ timeout: '5S' });
      assertEnd(late, [8, 'overloaded'], { 'grpc-message': /longer than the time left/ });
      assert.equal(early.isOver, false);
    });

    it('the queue lets no call through whose deadline has passed', () => {
      start({ queue: { concurrency: 1 } });
      const [, hasty] = [stack.peer.call({ timeout: '10S' }), stack.peer.call({ timeout: '100m' })];
      stack.advance(110);
      assertEnd(hasty, [4, 'queue-expired']);
      assert.equal(queue().waiting, 0);
      answer(0);
      assert.equal(stack.requests.length, 1);
    });

    it("the attempt timeout that the caller's sidecar sends counts from the end of the request", () => {
      start({ queue: { concurrency: 1 } });
      const told: CallOptions = { timeout: '5S', metadata: [['outrider-attempt-timeout', '300m']] };
      const slow = stack.peer.call({ ...told, body: null });
      stack.advance(1000);
      stack.settle(slow.data(MESSAGE).end());
      const generous = stack.peer.call({ ...told, timeout: '100m' });
      stack.advance(110);
      assertEnd(generous, [4, 'queue-expired']); // Its deadline comes first.
      assert.equal(last().header('outrider-attempt-timeout'), undefined);
      assert.equal(timeLeft(last()), 4000, 'the model is told the time of the call');
      stack.advance(200);
      assertEnd(slow, [4, 'deadline-exceeded']);
      assert.equal(last().resetCode, 8);
    });

    describe('a limit of one attempt, with the deadline of its call', () => {
      const LONG = Buffer.alloc(100_000, 'z');
      const told = (deadline: string): CallOptions => ({
        timeout: '300m',
        metadata: [['outrider-deadline', deadline]],
      });
      const begun = (deadline: string, timeoutMs = 0): PeerStream => {
        start({ routes: [aRoute({ timeoutMs })] });
        const call = stack.call(told(deadline));
        stack.settle(last().begin().data(LONG));
        return call;
      };

      it('ends a call without an answer, although the model is told the deadline of the call', () => {
        start();
        const call = stack.call(told('5000m'));
        assert.equal(last().header('outrider-deadline'), undefined);
        assert.equal(timeLeft(last()), 5000);
        stack.advance(310);
        assertEnd(call, [4, 'deadline-exceeded']);
        assert.equal(last().resetCode, ErrorCode.cancel);
      });

      it('does not end an answer that has begun; the deadline of the call does', () => {
        const call = begun('5000m');
        stack.advance(4_900);
        assert.equal(call.isOver, false);
        stack.advance(110);
        assertEnd(call, [4, 'deadline-exceeded']);
        assert.equal(last().resetCode, ErrorCode.cancel);
      });

      it('is not what the model is told, so that one that keeps to `grpc-timeout` may send a long answer', () => {
        const modelsTime = (deadline: string, timeoutMs = 0): number | undefined => {
          begun(deadline, timeoutMs);
          const header = last().header('grpc-timeout');
          return header === undefined ? undefined : parseGrpcTimeout(header);
        };
        assert.equal(modelsTime('5000m'), 5000);
        assert.equal(modelsTime('5000m', 2000), 2000, 'within the limits of the route');
        assert.equal(modelsTime('none'), undefined);
        assert.equal(modelsTime('100m'), 300, 'never less than the limit');
        assert.equal(modelsTime('soon'), 300, 'a sidecar that does not say it');
      });

      it('does not end an answer of a call without a deadline', () => {
        const call = begun('none');
        stack.advance(60_000);
        stack.settle(last().trailers(0));
        assert.deepEqual([call.status, call.bytes], [0, LONG.length]);
      });

      it('gives way to the limits of the route where the call may take longer', () => {
        const call = begun('none', 2_000);
        stack.advance(1_900);
        assert.equal(call.isOver, false);
        stack.advance(110);
        assertEnd(call, [4, 'deadline-exceeded']);
      });

      it('ends an answer as ever where the caller says nothing that can be read', () => {
        const call = begun('soon');
        stack.advance(310);
        assertEnd(call, [4, 'deadline-exceeded']);
      });
    });

    it('the model gets as `grpc-timeout` the time that is left after the wait', () => {
      start({ queue: { concurrency: 1 } });
      fill(2, { timeout: '5S' });
      stack.advance(2000);
      answer(0);
      const left = timeLeft(stack.requests[1]!);
      assert.ok(left <= 3000 && left > 2900, `${left}`);
    });

    it('the place of a cancelled call, running or waiting, goes to the next', () => {
      start({ queue: { concurrency: 1 } });
      const [running, waiting] = fill(3);
      waiting!.reset();
      stack.settle(running!.reset());
      assert.deepEqual([stack.requests.length, stack.requests[0]!.resetCode], [2, 8]);
      assert.deepEqual([queue().running, queue().waiting], [1, 0]);
    });

    it('the place of a call whose deadline passes at the model goes to the next', () => {
      const call = start({ queue: { concurrency: 1 } }).peer.call({ timeout: '200m' });
      fill(1);
      stack.advance(210);
      assertEnd(call, [4, 'deadline-exceeded']);
      assert.deepEqual([stack.requests.length, stack.requests[0]!.resetCode], [2, 8]);
    });

    it('a unary call is not queued while its request is still arriving', () => {
      const slow = start({ queue: { concurrency: 1 } }).peer.call({ body: null });
      stack.settle(slow.data(Buffer.alloc(100)));
      assert.equal(queue().running, 0);
      stack.model.answer = (stream) => stream.reply();
      assert.equal(stack.call().status, 0);
      stack.settle(slow.data(Buffer.alloc(10), Flag.endStream));
      assert.deepEqual([slow.status, last().bytes], [0, 110]);
    });

    it('a large unary request is buffered whole before it is queued', () => {
      const slow = start({ queue: { concurrency: 1 } }).peer.call({ body: null });
      stack.settle(slow.data(Buffer.alloc(1_000_000, 'x')));
      assert.deepEqual([queue().running, stack.requests.length], [0, 0]);
      stack.settle(slow.data(Buffer.alloc(10), Flag.endStream));
      assert.equal(last().bytes, 1_000_010);
      answer(0);
      assert.equal(slow.status, 0);
    });

    it('a large unary request reaches the model without a changed byte, whatever frames it comes in', () => {
      const slow = start({ queue: { concurrency: 1 } }).peer.call({ body: null });
      const sizes = Array.from({ length: 60 }, (_, i) => [16_384, 9_000, 4_096, 100, 16_384, 1][i % 6]!);
      const parts = sizes.map((size, i) => Buffer.alloc(size, `part ${i} `));
      for (const part of parts) stack.settle(slow.data(part));
      stack.settle(slow.data(Buffer.alloc(0), Flag.endStream));
      assert.ok(last().body.equals(Buffer.concat(parts)));
      answer(0);
      assert.equal(slow.status, 0);
    });

    it('a unary request larger than the replay buffer is queued before its end', () => {
      start({ queue: { concurrency: 1 } });
      const body = Buffer.alloc(5_000_000, 'y');
      const call = stack.call({ body });
      assert.equal(last().bytes, body.length);
      answer(0);
      assert.equal(call.status, 0);
    });

    it('a stream is queued when it begins', () => {
      start({ queue: { concurrency: 1 }, routes: [aStreamRoute()] }).call({ body: null });
      assert.equal(stack.requests.length, 1);
    });

    it('health and reflection calls pass the queue', () => {
      start({ queue: { concurrency: 1 } });
      fill(2);
      stack.peer.call({ path: CHECK });
      stack.call({ path: REFLECT, body: null });
      const paths = stack.requests.map((stream) => stream.header(':path'));
      assert.deepEqual(paths.slice(1), [CHECK, REFLECT]);
      assert.equal(queue().running, 1);
    });

    it('where none may wait, a call without a place is refused', () => {
      start({ queue: { concurrency: 1, maxWaiting: 0 } });
      const [, refused] = fill(2);
      assertUnprocessed(refused!, [8, 'overloaded'], { 'grpc-message': /no call may wait for a place/ });
    });

    it('a changed configuration resizes the queue without losing a call', () => {
      start({ queue: { concurrency: 1 } });
      const calls = fill(4);
      stack.reload({ queue: { concurrency: 3 } });
      assert.equal(stack.requests.length, 3);
      stack.reload({ queue: { concurrency: 1, maxWaiting: 0 } });
      for (let i = 0; i < 4; i++) answer(i);
      assert.deepEqual(statusesOf(calls), [0, 0, 0, 0]);
    });
  });

  describe('a model', () => {
    it('a model that resets every call of one connection gets another connection', () => {
      start();
      const { model } = stack;
      model.answer = (stream) => {
        if (stream.peer === model.peers[0]) stream.reset(ErrorCode.enhanceYourCalm);
        else stream.reply();
      };
      const statuses = statusesOf(Array.from({ length: 20 }, () => stack.call()));
      assert.equal(statuses.filter((status) => status === 0).length, 15, `${statuses}`);
      assert.equal(model.open.length, 1);
    });

    it('calls wait for a model that starts, within their deadlines', () => {
      const patient = start({}, false).peer.call({ timeout: '5S' });
      const hasty = stack.peer.call({ timeout: '500m' });
      stack.advance(1000);
      assertEnd(hasty, [4, 'queue-expired']);
      assert.equal(stack.requests.length, 0);
      stack.settle(stack.side.instance.setState({ kind: 'ready' }));
      const left = timeLeft(last());
      assert.ok(left <= 4000, `${left} ms were promised`);
      stack.settle(last().reply());
      assert.equal(patient.status, 0);
    });

    it('calls to a model that is away, queued ones too, are refused as never processed', () => {
      const running = start({ queue: { concurrency: 1 } }).peer.call();
      const waiting = stack.call();
      stack.settle(stack.side.instance.setState({ kind: 'away', why: 'it is being restarted' }));
      for (const call of [waiting, stack.call()])
        assertUnprocessed(call, [14, 'model-unavailable'], { 'grpc-message': /being restarted/ });
      stack.settle(stack.model.peer.socket.break());
      // It may have been processed.
      assertEnd(running, [14, 'connection-lost'], { 'outrider-unprocessed': undefined });
    });

    it('a call that the model resets with CANCEL at its deadline ends with that', () => {
      start();
      for (const [afterMs, end] of [
        [900, [1, 'upstream-reset']],
        [996, [4, 'deadline-exceeded']],
      ] as const) {
        const call = stack.call({ timeout: '1S' });
        stack.advance(afterMs);
        stack.settle(last().reset(ErrorCode.cancel));
        assertEnd(call, end);
      }
    });

    it('a call that the model answers with GOAWAY or REFUSED_STREAM is reset with REFUSED_STREAM: the caller may send it again', () => {
      const refused = start().peer.call();
      const leftOut = stack.call();
      stack.settle(stack.requests[0]!.reset(7));
      stack.settle(stack.model.peer.goaway(stack.requests[0]!.id));
      for (const call of [refused, leftOut]) assert.deepEqual([call.resetCode, call.lists], [7, []]);
      assert.equal(stack.side.instance.isReady, true);
      const next = stack.call();
      stack.settle(last().reply());
      assert.equal(next.status, 0, 'a new connection was made');
    });

    it('trailers of a model without a grpc-status are answered in its name', () => {
      start({ routes: [aStreamRoute()] });
      for (const begun of [false, true]) {
        const call = stack.call();
        const answer = last().begin();
        if (begun) stack.settle(answer.data(MESSAGE));
        stack.settle(answer.headers([['x', 'y']], Flag.endStream));
        assertEnd(call, [13, 'protocol-error'], {
          'grpc-message': /^digits broke the protocol/,
          x: undefined,
        });
      }
    });

    it('a model that leaves out the calls of each connection is away', () => {
      start();
      const ends = Array.from({ length: 4 }, () => {
        const call = stack.call();
        stack.settle(stack.model.peer.goaway(0));
        return call.resetCode ?? call.reason;
      });
      assert.deepEqual(ends, [7, 7, 'model-unavailable', 'model-unavailable']);
    });

    it('a call to a model that cannot be connected counts as never processed', () => {
      start();
      stack.settle(stack.kill('model'));
      const call = stack.peer.call();
      stack.advance(100);
      assertUnprocessed(call, [14, 'model-unavailable']);
    });

    it('`outrider-*` metadata of a model is removed from its response', () => {
      start();
      stack.model.answer = (stream) =>
        stream.begin([['outrider-degraded', 'x']]).trailers(14, [['outrider-unprocessed', 'true']]);
      const call = stack.call();
      assert.equal(call.status, 14);
      assert.ok(!JSON.stringify(call.lists).includes('outrider-'));
    });

    it('the activity of a model is measured by its calls, not by health and reflection', () => {
      start({ queue: { concurrency: 2 } });
      const { activity } = stack.side.instance;
      stack.peer.call({ path: CHECK });
      stack.advance(10);
      stack.settle(last().reply());
      assert.equal(activity.report().completed, 0);
      stack.call();
      const startMs = stack.clock.now();
      stack.advance(40);
      assert.deepEqual([activity.report().inFlight, activity.report().oldestStartMs], [1, startMs]);
      stack.settle(last().reply());
      const { completed, lastCompletionMs, usualMs, inFlight } = activity.report();
      assert.deepEqual([completed, lastCompletionMs, inFlight], [1, startMs + 40, 0]);
      assert.ok(usualMs > 0);
    });
  });

  it('a call on an unknown route and a call with an expired deadline get local replies', () => {
    start({ routes: [aRoute({ methods: [CHECK] })] });
    assertEnd(stack.call(), [12, 'unknown-route']);
    assertEnd(stack.call({ path: CHECK, timeout: '0n' }), [4, 'deadline-exceeded']);
    assert.equal(stack.requests.length, 0);
  });

  it("the route's `max_timeout` bounds the deadline of every call, streams included", () => {
    start({ routes: [aStreamRoute({ maxTimeoutMs: 2_000 })], queue: { concurrency: 4 } });
    const { peer } = stack;
    const calls = [peer.call({ body: null, timeout: '1H' }), peer.call({ body: null })];
    const short = peer.call({ body: null, timeout: '1S' });
    stack.advance(1_100);
    assert.deepEqual([short.status, calls[0]!.isOver], [4, false]);
    stack.advance(1_000);
    for (const call of calls) assertEnd(call, [4, 'deadline-exceeded']);
  });

  it('a bidirectional stream is relayed to the model', () => {
    const call = start({ routes: [aStreamRoute()] }).peer.call({ body: null });
    stack.settle(call.data(MESSAGE));
    stack.settle(last().begin().data(Buffer.from('one')));
    assert.equal(call.body.toString(), 'one');
    call.end();
    stack.settle(last().trailers(0));
    assert.equal(call.status, 0);
  });
});
