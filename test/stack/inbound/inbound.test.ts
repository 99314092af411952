/** Inbound: authorization, the queue of a model, and what becomes of calls when the model goes away. */
import assert from 'node:assert/strict';
import { type Action, IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import type { Permission } from '../../../sidecar/core/authorization/permissions.js';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type CallOptions,
  type InboundOptions,
  type InboundStack,
  MESSAGE,
  Stack,
} from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const REFLECT = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';

describe('Inbound', () => {
  let stack: Stack;
  let side: InboundStack;
  let peer: Application;

  const start = (over: InboundOptions = {}, ready = true): void => {
    stack = new Stack();
    side = stack.inbound(anInbound(over), { ready });
    peer = stack.app(side.listener, 'app');
  };
  const answering = (over: InboundOptions = {}): void => {
    start(over);
    side.model.answer = (stream) => stream.reply();
  };
  const atModel = (): readonly PeerStream[] => side.model.requests;
  afterEach(() => stack.close());

  describe('authorization', () => {
    it('a caller that an intention allows reaches the model, which gets its verified identity', () => {
      answering();
      assert.equal(stack.settle(peer.call({ metadata: [['outrider-caller', 'root']] })).status, 0);
      const callers = side.model.last.lists[0]!.filter(([name]) => name === 'outrider-caller');
      assert.deepEqual(callers, [['outrider-caller', 'app']]);
      assert.equal(side.model.last.header(':scheme'), 'http');
    });

    it('forwarded-client headers of a caller never reach the model', () => {
      answering();
      const forged = (n: number): [string, string][] => [
        ['x-forwarded-client-cert', `By=spiffe://mesh/a;URI=spiffe://mesh/root-${n}`],
        ['forwarded', `for=10.0.0.${n};by=gateway`],
        ['x-tenant', `t${n}`],
      ];
      // The first are remembered as they are, those after a while are taken for what varies from call to call.
      for (let n = 0; n < 3000; n++) {
        stack.settle(peer.call({ metadata: n === 0 ? [...forged(0), ...forged(0)] : forged(n) }));
        const { last } = side.model;
        assert.deepEqual(
          [last.header('x-forwarded-client-cert'), last.header('forwarded'), last.header('outrider-caller')],
          [undefined, undefined, 'app'],
        );
        assert.equal(last.header('x-tenant'), `t${n}`);
      }
    });

    it('the number of previous attempts reaches the model', () => {
      start();
      for (const [said, told] of [
        ['2', '2'],
        ['10', undefined],
        ['x', undefined],
      ] as const) {
        stack.settle(peer.call({ metadata: [['grpc-previous-rpc-attempts', said]] }));
        assert.equal(side.model.last.header('grpc-previous-rpc-attempts'), told);
        stack.settle(side.model.last.reply());
      }
    });

    it('a call without an intention is not allowed', () => {
      start({ intentions: [] });
      const call = stack.settle(peer.call());
      assert.deepEqual([call.status, call.reason, call.isTrailersOnly], [7, 'not-allowed', true]);
      assert.match(call.trailer('grpc-message')!, /app may not call digits/);
      assert.equal(atModel().length, 0);
    });

    it('a caller without identity is refused where mTLS is strict', () => {
      start({ defaultIntention: 'allow' });
      const call = stack.settle(stack.app(side.listener).call());
      assert.deepEqual([call.status, call.reason], [16, 'no-identity']);
    });

    it('a caller without identity needs an intention for every service where mTLS is permissive', () => {
      answering({ mtls: 'permissive', intentions: [{ from: '*', to: 'digits', action: 'allow' }] });
      const call = stack.settle(stack.app(side.listener).call({ metadata: [['outrider-caller', 'root']] }));
      assert.equal(call.status, 0);
      assert.equal(side.model.last.header('outrider-caller'), undefined);
    });

    it('authorization comes before the route, so that a caller that is refused learns of no methods', () => {
      start({ intentions: [], routes: [aRoute({ methods: [CHECK] })] });
      assert.equal(stack.settle(peer.call()).status, 7);
    });
  });

  describe('a revoked intention', () => {
    const revoked = { from: 'app', to: 'digits', action: 'deny' } as const;
    const revoke = (): void => {
      const config = anInbound({ routes: [aStreamRoute()], intentions: [revoked, OTHER] });
      stack.settle(side.inbound.update(config, side.intentions(config.intentions), side.listener.sessions));
    };
    const OTHER = { from: 'other', to: 'digits', action: 'allow' } as const;

    it('an intention that is revoked refuses the next call on an open connection', () => {
      answering();
      stack.settle(peer.call());
      revoke();
      const call = stack.settle(peer.call());
      assert.deepEqual([call.status, call.reason], [7, 'not-allowed']);
      assert.equal(atModel().length, 1);
    });

    it("an intention that is revoked ends the caller's open streams and its queued calls, and those of no other caller", () => {
      start({
        routes: [aStreamRoute()],
        queue: { concurrency: 2 },
        intentions: [{ from: '*', to: 'digits', action: 'allow' }],
      });
      const other = stack.app(side.listener, 'other');
      const flowing = peer.call({ body: null });
      const kept = stack.settle(other.call({ body: null }));
      for (const stream of atModel()) stream.begin().data(Buffer.from('so far'));
      const waiting = stack.settle(peer.call());
      assert.equal(side.backend.queue.waiting, 1);
      revoke();
      assert.deepEqual(
        [flowing.status, flowing.reason, flowing.body.toString()],
        [7, 'not-allowed', 'so far'],
      );
      assert.deepEqual([waiting.status, waiting.reason], [7, 'not-allowed']);
      assert.equal(kept.isOver, false);
      assert.deepEqual(
        atModel().map(({ resetCode }) => resetCode),
        [8, undefined],
      );
      kept.end();
      stack.settle(atModel()[1]!.trailers(0));
      assert.equal(kept.status, 0);
      stack.assertIdle();
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
      stack.settle(side.inbound.setIntentions(table, side.listener.sessions));
    };
    const statusOf = (path: string, metadata: [string, string][] = [], from = peer): number | undefined =>
      stack.settle(from.call({ path, metadata })).status;
    const statusesOf = (paths: readonly string[], from = peer) =>
      paths.map((path) => statusOf(path, [], from));

    it('an intention with permissions allows or denies each call', () => {
      answering();
      permit([infer]);
      assert.deepEqual(statusesOf([INFER, READY, INFER]), [0, 7, 0]);
      permit([{ ...infer, headers: [team] }]);
      assert.equal(statusOf(INFER), 7);
      assert.equal(statusOf(INFER, [['x-team', 'a']]), 0);
      assert.equal(
        statusOf(
          INFER,
          ['a', 'b'].map((value) => ['x-team', value]),
        ),
        7,
      );
      permit([{ ...infer, action: 'deny' }], 'app', 'allow');
      assert.deepEqual(statusesOf([INFER, READY, '/x.Y/Z/']), [7, 0, 7]);
    });

    it("a permission on an `outrider-*` header matches no caller's own header", () => {
      start();
      const present = { ...team, name: 'outrider-caller', kind: 'present' } as const;
      permit([{ action: 'allow', headers: [present] }]);
      assert.equal(statusOf(INFER, [['outrider-caller', 'root']]), 7);
    });

    it('a permission of the wildcard holds for a caller without identity', () => {
      answering({ mtls: 'permissive' });
      permit([infer], '*');
      assert.deepEqual(statusesOf([INFER, READY], stack.app(side.listener)), [0, 7]);
    });

    it('a permission that no longer covers an open call ends it, and no other', () => {
      start({ routes: [aStreamRoute()], queue: { concurrency: 4 } });
      const open = [INFER, READY].map((path) => peer.call({ path, body: null }));
      stack.run();
      for (const stream of atModel()) stream.begin();
      permit([{ action: 'allow' }]);
      assert.deepEqual(
        open.map(({ isOver }) => isOver),
        [false, false],
      );
      permit([infer]);
      assert.deepEqual(
        open.map(({ status }) => status),
        [-1, 7],
      );
    });
  });

  describe('while intentions are not known', () => {
    it('a call before the intentions are loaded is refused as never processed', () => {
      start({ mtls: 'permissive' });
      side.inbound.setIntentions(IntentionTable.notLoaded(50), side.listener.sessions);
      for (const from of [peer, stack.app(side.listener)]) {
        const call = stack.settle(from.call());
        assert.deepEqual([call.status, call.reason], [14, 'intentions-not-loaded']);
        assert.equal(call.trailer('grpc-message'), 'the intentions for digits are not known yet');
        assert.notEqual(call.trailer('outrider-unprocessed'), undefined);
      }
      side.model.answer = (stream) => stream.reply();
      side.inbound.setIntentions(new IntentionTable([], 'allow', 51), side.listener.sessions);
      assert.equal(stack.settle(peer.call()).status, 0);
    });
  });

  describe('the queue of a model', () => {
    const fill = (n: number, options = {}): PeerStream[] =>
      stack.settle(Array.from({ length: n }, () => peer.call(options)));

    it('the queue lets `concurrency` calls through, and the rest in the order of their arrival', () => {
      start({ queue: { concurrency: 2 } });
      const calls = fill(5);
      assert.equal(atModel().length, 2);
      assert.deepEqual([side.backend.queue.running, side.backend.queue.waiting], [2, 3]);
      for (let i = 0; i < 5; i++) {
        stack.settle(atModel()[i]!.reply(Buffer.from(String(i))));
        assert.equal(atModel().length, Math.min(5, i + 3));
      }
      assert.deepEqual(
        calls.map((call) => call.body.toString()),
        ['0', '1', '2', '3', '4'],
      );
      stack.assertIdle();
    });

    it('the queue refuses one call more than `max_waiting`, with a pushback', () => {
      start({ queue: { concurrency: 1, maxWaiting: 2 } });
      const refused = fill(4)[3]!;
      assert.deepEqual([refused.status, refused.reason], [8, 'overloaded']);
      assert.equal(refused.trailer('outrider-unprocessed'), 'true');
      assert.ok(Number(refused.trailer('grpc-retry-pushback-ms')) >= 1);
      assert.match(refused.trailer('grpc-message')!, /2 calls are waiting/);
    });

    it('the queue refuses more bytes than `max_waiting_bytes`', () => {
      start({ queue: { concurrency: 1, maxWaitingBytes: 1500 } });
      const calls = fill(3, { body: Buffer.alloc(1000) });
      assert.deepEqual([calls[2]!.status, calls[2]!.reason], [8, 'overloaded']);
      assert.equal(side.backend.queue.waitingBytes, 1000);
    });

    it('the queue refuses on arrival a call that would not end before its deadline', () => {
      start({ queue: { concurrency: 1 } });
      const [first] = fill(1);
      stack.advance(500);
      stack.settle(atModel()[0]!.reply());
      assert.equal(first!.status, 0);
      fill(2);
      const late = peer.call({ timeout: '300m' });
      const early = stack.settle(peer.call({ timeout: '5S' }));
      assert.deepEqual([late.status, late.reason], [8, 'overloaded']);
      assert.match(late.trailer('grpc-message')!, /longer than the time left/);
      assert.equal(early.isOver, false);
    });

    it('the queue lets no call through whose deadline has passed', () => {
      start({ queue: { concurrency: 1 } });
      const [, hasty] = [peer.call({ timeout: '10S' }), peer.call({ timeout: '100m' })];
      stack.advance(110);
      assert.deepEqual([hasty.status, hasty.reason], [4, 'queue-expired']);
      assert.equal(side.backend.queue.waiting, 0);
      stack.settle(atModel()[0]!.reply());
      assert.equal(atModel().length, 1);
      stack.assertIdle();
    });

    it("the attempt timeout that the caller's sidecar sends counts from the end of the request", () => {
      start({ queue: { concurrency: 1 } });
      const told: CallOptions = { timeout: '5S', metadata: [['outrider-attempt-timeout', '300m']] };
      const slow = peer.call({ ...told, body: null });
      stack.advance(1000);
      stack.settle(slow.data(MESSAGE).end());
      const generous = peer.call({ ...told, timeout: '100m' });
      stack.advance(110);
      assert.deepEqual([generous.status, generous.reason], [4, 'queue-expired'], 'its deadline comes first');
      const model = atModel()[0]!;
      assert.equal(model.header('outrider-attempt-timeout'), undefined);
      const left = parseGrpcTimeout(model.header('grpc-timeout')!);
      assert.ok(left <= 300 && left > 290, `${left}`);
      stack.advance(200);
      assert.deepEqual([slow.status, slow.reason], [4, 'deadline-exceeded']);
      assert.equal(model.resetCode, 8);
      stack.assertIdle();
    });

    it('the model gets as `grpc-timeout` the time that is left after the wait', () => {
      start({ queue: { concurrency: 1 } });
      fill(2, { timeout: '5S' });
      stack.advance(2000);
      stack.settle(atModel()[0]!.reply());
      const left = parseGrpcTimeout(atModel()[1]!.header('grpc-timeout')!);
      assert.ok(left <= 3000 && left > 2900, `${left}`);
    });

    it('the place of a cancelled call, running or waiting, goes to the next', () => {
      start({ queue: { concurrency: 1 } });
      const [running, waiting] = fill(3);
      waiting!.reset();
      stack.settle(running!.reset());
      assert.equal(atModel().length, 2);
      assert.equal(atModel()[0]!.resetCode, 8);
      assert.deepEqual([side.backend.queue.running, side.backend.queue.waiting], [1, 0]);
    });

    it('the place of a call whose deadline passes at the model goes to the next', () => {
      start({ queue: { concurrency: 1 } });
      const call = peer.call({ timeout: '200m' });
      fill(1);
      stack.advance(210);
      assert.deepEqual([call.status, call.reason], [4, 'deadline-exceeded']);
      assert.equal(atModel()[0]!.resetCode, 8);
      assert.equal(atModel().length, 2);
    });

    it('a unary call is not queued while its request is still arriving', () => {
      start({ queue: { concurrency: 1 } });
      const slow = peer.call({ body: null });
      stack.settle(slow.data(Buffer.alloc(100)));
      assert.equal(side.backend.queue.running, 0);
      const quick = peer.call();
      side.model.answer = (stream) => stream.reply();
      stack.run();
      assert.equal(quick.status, 0);
      stack.settle(slow.data(Buffer.alloc(10), Flag.endStream));
      assert.equal(slow.status, 0);
      assert.equal(side.model.last.bytes, 110);
    });

    it('a large unary request is buffered whole before it is queued', () => {
      start({ queue: { concurrency: 1 } });
      const slow = peer.call({ body: null });
      stack.settle(slow.data(Buffer.alloc(1_000_000, 'x')));
      assert.equal(side.backend.queue.running, 0);
      assert.equal(atModel().length, 0);
      stack.settle(slow.data(Buffer.alloc(10), Flag.endStream));
      assert.equal(side.model.last.bytes, 1_000_010);
      stack.settle(side.model.last.reply());
      assert.equal(slow.status, 0);
      stack.assertIdle();
    });

    it('a unary request larger than the replay buffer is queued before its end', () => {
      start({ queue: { concurrency: 1 } });
      const body = Buffer.alloc(5_000_000, 'y');
      const call = stack.settle(peer.call({ body }));
      assert.equal(side.model.last.bytes, body.length);
      stack.settle(side.model.last.reply());
      assert.equal(call.status, 0);
      stack.assertIdle();
    });

    it('a stream is queued when it begins', () => {
      start({ queue: { concurrency: 1 }, routes: [aStreamRoute()] });
      stack.settle(peer.call({ body: null }));
      assert.equal(atModel().length, 1);
    });

    it('health and reflection calls pass the queue', () => {
      start({ queue: { concurrency: 1 } });
      fill(2);
      peer.call({ path: CHECK });
      stack.settle(peer.call({ path: REFLECT, body: null }));
      assert.deepEqual(
        atModel().map((stream) => stream.header(':path')),
        [atModel()[0]!.header(':path'), CHECK, REFLECT],
      );
      assert.equal(side.backend.queue.running, 1);
    });

    it('a changed configuration resizes the queue without losing a call', () => {
      start({ queue: { concurrency: 1 } });
      const calls = fill(4);
      const wider = anInbound({ queue: { concurrency: 3 } });
      stack.settle(side.inbound.update(wider, side.intentions(wider.intentions), side.listener.sessions));
      assert.equal(atModel().length, 3);
      const narrow = anInbound({ queue: { concurrency: 1, maxWaiting: 0 } });
      side.inbound.update(narrow, side.intentions(narrow.intentions), side.listener.sessions);
      for (let i = 0; i < 4; i++) {
        stack.settle(atModel()[i]!.reply());
      }
      assert.deepEqual(
        calls.map(({ status }) => status),
        [0, 0, 0, 0],
      );
    });
  });

  describe('a model', () => {
    it('a model that resets every call of one connection gets another connection', () => {
      start();
      const { model } = side;
      model.answer = ({ peer: at, id }) => {
        const stream = at.streams.get(id)!;
        if (at === model.peers[0]) stream.reset(ErrorCode.enhanceYourCalm);
        else stream.reply();
      };
      const statuses = Array.from({ length: 20 }, () => {
        const call = stack.settle(peer.call());
        return call.status;
      });
      assert.equal(statuses.filter((status) => status === 0).length, 15, `${statuses}`);
      assert.equal(model.open.length, 1);
    });

    it('calls wait for a model that starts, within their deadlines', () => {
      start({}, false);
      const patient = peer.call({ timeout: '5S' });
      const hasty = peer.call({ timeout: '500m' });
      stack.advance(1000);
      assert.deepEqual([hasty.status, hasty.reason], [4, 'queue-expired']);
      assert.equal(atModel().length, 0);
      stack.settle(side.backend.setState({ kind: 'ready' }));
      const left = parseGrpcTimeout(side.model.last.header('grpc-timeout')!);
      assert.ok(left <= 4000, `${left} ms were promised`);
      stack.settle(side.model.last.reply());
      assert.equal(patient.status, 0);
      stack.assertIdle();
    });

    it('calls to a model that is away, queued ones too, are refused as never processed', () => {
      start({ queue: { concurrency: 1 } });
      const running = peer.call();
      const waiting = stack.settle(peer.call());
      stack.settle(side.backend.setState({ kind: 'away', why: 'it is being restarted' }));
      const late = stack.settle(peer.call());
      for (const call of [waiting, late]) {
        assert.deepEqual([call.status, call.reason], [14, 'model-unavailable']);
        assert.equal(call.trailer('outrider-unprocessed'), 'true');
        assert.match(call.trailer('grpc-message')!, /being restarted/);
      }
      stack.settle(side.model.peer.socket.break());
      assert.deepEqual([running.status, running.reason], [14, 'connection-lost']);
      assert.equal(running.trailer('outrider-unprocessed'), undefined, 'it may have been processed');
      stack.assertIdle();
    });

    it('a call that the model answers with GOAWAY or REFUSED_STREAM counts as never processed', () => {
      start();
      const refused = peer.call();
      const leftOut = stack.settle(peer.call());
      stack.settle(atModel()[0]!.reset(7));
      stack.settle(side.model.peer.goaway(atModel()[0]!.id));
      for (const call of [refused, leftOut]) {
        assert.deepEqual([call.status, call.reason], [14, 'model-unavailable']);
        assert.equal(call.trailer('outrider-unprocessed'), 'true');
      }
      const next = stack.settle(peer.call());
      stack.settle(side.model.last.reply());
      assert.equal(next.status, 0, 'a new connection was made');
    });

    it('a call to a model that cannot be connected counts as never processed', () => {
      start();
      side.model.mode = 'refuses';
      stack.settle(side.model.peer.socket.break());
      const call = peer.call();
      stack.advance(100);
      assert.deepEqual([call.status, call.reason], [14, 'model-unavailable']);
      assert.equal(call.trailer('outrider-unprocessed'), 'true');
      stack.assertIdle();
    });

    it('`outrider-*` metadata of a model is removed from its response', () => {
      start();
      side.model.answer = (stream) =>
        stream.begin([['outrider-degraded', 'x']]).trailers(14, [['outrider-unprocessed', 'true']]);
      const call = stack.settle(peer.call());
      assert.equal(call.status, 14);
      assert.ok(!JSON.stringify(call.lists).includes('outrider-'));
    });

    it('the activity of a model is measured by its calls, not by health and reflection', () => {
      start({ queue: { concurrency: 2 } });
      peer.call({ path: CHECK });
      stack.advance(10);
      stack.settle(side.model.last.reply());
      assert.equal(side.backend.activity.report().completed, 0);
      stack.settle(peer.call());
      const startMs = stack.clock.now();
      stack.advance(40);
      assert.deepEqual(
        [side.backend.activity.report().inFlight, side.backend.activity.report().oldestStartMs],
        [1, startMs],
      );
      stack.settle(side.model.last.reply());
      const { completed, lastCompletionMs, usualMs, inFlight } = side.backend.activity.report();
      assert.deepEqual([completed, lastCompletionMs, inFlight], [1, startMs + 40, 0]);
      assert.ok(usualMs > 0);
    });
  });

  it('a call on an unknown route and a call with an expired deadline get local replies', () => {
    start({ routes: [aRoute({ methods: [CHECK] })] });
    const unknown = peer.call();
    const expired = stack.settle(peer.call({ path: CHECK, timeout: '0n' }));
    assert.deepEqual([unknown.status, unknown.reason], [12, 'unknown-route']);
    assert.deepEqual([expired.status, expired.reason], [4, 'deadline-exceeded']);
    assert.equal(atModel().length, 0);
    stack.assertIdle();
  });

  it("the route's `max_timeout` bounds the deadline of every call, streams included", () => {
    start({ routes: [aStreamRoute({ maxTimeoutMs: 2_000 })], queue: { concurrency: 4 } });
    const calls = [peer.call({ body: null, timeout: '1H' }), peer.call({ body: null })];
    const short = peer.call({ body: null, timeout: '1S' });
    stack.advance(1_100);
    assert.deepEqual([short.status, calls[0]!.isOver], [4, false]);
    stack.advance(1_000);
    for (const { status, reason } of calls) assert.deepEqual([status, reason], [4, 'deadline-exceeded']);
    stack.assertIdle();
  });

  it('a bidirectional stream is relayed to the model', () => {
    start({ routes: [aStreamRoute()] });
    const call = peer.call({ body: null });
    stack.settle(call.data(MESSAGE));
    stack.settle(side.model.last.begin().data(Buffer.from('one')));
    assert.equal(call.body.toString(), 'one');
    call.end();
    stack.settle(side.model.last.trailers(0));
    assert.equal(call.status, 0);
    stack.assertIdle();
  });
});
