/** The inbound story: who may call, the line before the model, and what becomes of calls when the model goes. */
import assert from 'node:assert/strict';
import { type Action, IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import type { Permission } from '../../../sidecar/core/authorization/permissions.js';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type App,
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
  let peer: App;

  const start = (over: InboundOptions = {}, ready = true): void => {
    stack = new Stack();
    side = stack.inbound(anInbound(over), { ready });
    peer = stack.app(side.listener, 'app');
  };
  const atModel = (): readonly PeerStream[] => side.model.requests;
  afterEach(() => stack.close());

  describe('who may call', () => {
    it('is who an intention names; the model learns the verified caller', () => {
      start();
      side.model.answer = (stream) => stream.reply();
      const call = stack.settle(peer.call({ metadata: [['outrider-caller', 'root']] }));
      assert.equal(call.status, 0);
      const callers = side.model.last.lists[0]!.filter(([name]) => name === 'outrider-caller');
      assert.deepEqual(callers, [['outrider-caller', 'app']]);
      assert.equal(side.model.last.header(':scheme'), 'http');
    });

    it('does not say so itself: what proxies say of their clients never reaches the model', () => {
      start();
      side.model.answer = (stream) => stream.reply();
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

    it('says how often it has tried before, and the model learns it', () => {
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

    it('is nobody by default', () => {
      start({ intentions: [] });
      const call = stack.settle(peer.call());
      assert.deepEqual([call.status, call.reason, call.isTrailersOnly], [7, 'not-allowed', true]);
      assert.match(call.trailer('grpc-message')!, /app may not call digits/);
      assert.equal(atModel().length, 0);
    });

    it('is nobody without identity where that is asked for', () => {
      start({ defaultIntention: 'allow' });
      const call = stack.app(side.listener).call();
      stack.run();
      assert.deepEqual([call.status, call.reason], [16, 'no-identity']);
    });

    it('is judged by intentions for everyone where identity is optional', () => {
      start({ mtls: 'permissive', intentions: [{ from: '*', to: 'digits', action: 'allow' }] });
      side.model.answer = (stream) => stream.reply();
      const call = stack.app(side.listener).call({ metadata: [['outrider-caller', 'root']] });
      stack.run();
      assert.equal(call.status, 0);
      assert.equal(side.model.last.header('outrider-caller'), undefined);
    });

    it('comes before the route, so that nobody learns which methods there are', () => {
      start({ intentions: [], routes: [aRoute({ methods: [CHECK] })] });
      const call = stack.settle(peer.call());
      assert.equal(call.status, 7);
    });
  });

  describe('a revoked intention', () => {
    const revoked = { from: 'app', to: 'digits', action: 'deny' } as const;
    const revoke = (): void => {
      const config = anInbound({ routes: [aStreamRoute()], intentions: [revoked, OTHER] });
      stack.settle(side.inbound.update(config, side.intentions(config.intentions), side.listener.sessions));
    };
    const OTHER = { from: 'other', to: 'digits', action: 'allow' } as const;

    it('refuses the next call on an open connection', () => {
      start();
      side.model.answer = (stream) => stream.reply();
      stack.settle(peer.call());
      revoke();
      const call = stack.settle(peer.call());
      assert.deepEqual([call.status, call.reason], [7, 'not-allowed']);
      assert.equal(atModel().length, 1);
    });

    it('ends the streams that are open, those in the line too, and no one else’s', () => {
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
    const statusOf = (path: string, metadata: [string, string][] = [], from = peer): number | undefined => {
      const call = stack.settle(from.call({ path, metadata }));
      return call.status;
    };

    it('lets calls through one by one', () => {
      start();
      side.model.answer = (stream) => stream.reply();
      permit([infer]);
      assert.deepEqual(
        [INFER, READY, INFER].map((path) => statusOf(path)),
        [0, 7, 0],
      );
      permit([{ ...infer, headers: [team] }]);
      assert.equal(statusOf(INFER), 7);
      assert.equal(statusOf(INFER, [['x-team', 'a']]), 0);
      assert.equal(
        statusOf(INFER, [
          ['x-team', 'a'],
          ['x-team', 'b'],
        ]),
        7,
      );
      permit([{ ...infer, action: 'deny' }], 'app', 'allow');
      assert.deepEqual(
        [INFER, READY, '/x.Y/Z/'].map((path) => statusOf(path)),
        [7, 0, 7],
      );
    });

    it('believes no caller about what only we say', () => {
      start();
      const present = { ...team, name: 'outrider-caller', kind: 'present' } as const;
      permit([{ action: 'allow', headers: [present] }]);
      assert.equal(statusOf(INFER, [['outrider-caller', 'root']]), 7);
    });

    it('holds for a caller without identity by the wildcard', () => {
      start({ mtls: 'permissive' });
      side.model.answer = (stream) => stream.reply();
      permit([infer], '*');
      const nobody = stack.app(side.listener);
      assert.deepEqual(
        [INFER, READY].map((path) => statusOf(path, [], nobody)),
        [0, 7],
      );
    });

    it('that no longer covers them ends the open calls, and those alone', () => {
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
    it('every call is told so, and may be tried elsewhere', () => {
      start({ mtls: 'permissive' });
      side.inbound.setIntentions(IntentionTable.notLoaded(50), side.listener.sessions);
      for (const from of [peer, stack.app(side.listener)]) {
        const call = stack.settle(from.call());
        assert.deepEqual([call.status, call.reason], [14, 'intentions-not-loaded']);
        assert.equal(call.trailer('grpc-message'), 'who may call digits is not known yet');
        assert.notEqual(call.trailer('outrider-unprocessed'), undefined);
      }
      side.model.answer = (stream) => stream.reply();
      side.inbound.setIntentions(new IntentionTable([], 'allow', 51), side.listener.sessions);
      const call = stack.settle(peer.call());
      assert.equal(call.status, 0);
    });
  });

  describe('the line before the model', () => {
    const fill = (n: number, options = {}): PeerStream[] =>
      stack.settle(Array.from({ length: n }, () => peer.call(options)));

    it('lets as many through as the model may hold, and the rest in their order', () => {
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

    it('refuses one more than may wait, with the time after which to ask again', () => {
      start({ queue: { concurrency: 1, maxWaiting: 2 } });
      const refused = fill(4)[3]!;
      assert.deepEqual([refused.status, refused.reason], [8, 'overloaded']);
      assert.equal(refused.trailer('outrider-unprocessed'), 'true');
      assert.ok(Number(refused.trailer('grpc-retry-pushback-ms')) >= 1);
      assert.match(refused.trailer('grpc-message')!, /2 calls are waiting/);
    });

    it('refuses more bytes than may wait', () => {
      start({ queue: { concurrency: 1, maxWaitingBytes: 1500 } });
      const calls = fill(3, { body: Buffer.alloc(1000) });
      assert.deepEqual([calls[2]!.status, calls[2]!.reason], [8, 'overloaded']);
      assert.equal(side.backend.queue.waitingBytes, 1000);
    });

    it('refuses on arrival what would not reach the model in time', () => {
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

    it('never lets a call through whose deadline has passed', () => {
      start({ queue: { concurrency: 1 } });
      const [, hasty] = [peer.call({ timeout: '10S' }), peer.call({ timeout: '100m' })];
      stack.advance(110);
      assert.deepEqual([hasty.status, hasty.reason], [4, 'queue-expired']);
      assert.equal(side.backend.queue.waiting, 0);
      stack.settle(atModel()[0]!.reply());
      assert.equal(atModel().length, 1);
      stack.assertIdle();
    });

    it('keeps to the limit of an attempt that its caller’s sidecar tells, from the end of the request', () => {
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

    it('tells the model the time that is left after the wait', () => {
      start({ queue: { concurrency: 1 } });
      fill(2, { timeout: '5S' });
      stack.advance(2000);
      stack.settle(atModel()[0]!.reply());
      const left = parseGrpcTimeout(atModel()[1]!.header('grpc-timeout')!);
      assert.ok(left <= 3000 && left > 2900, `${left}`);
    });

    it('gives the place of a call that leaves to the next, running or waiting', () => {
      start({ queue: { concurrency: 1 } });
      const [running, waiting] = fill(3);
      waiting!.reset();
      stack.settle(running!.reset());
      assert.equal(atModel().length, 2);
      assert.equal(atModel()[0]!.resetCode, 8);
      assert.deepEqual([side.backend.queue.running, side.backend.queue.waiting], [1, 0]);
    });

    it('gives the place of a call whose deadline passes at the model to the next', () => {
      start({ queue: { concurrency: 1 } });
      const call = peer.call({ timeout: '200m' });
      fill(1);
      stack.advance(210);
      assert.deepEqual([call.status, call.reason], [4, 'deadline-exceeded']);
      assert.equal(atModel()[0]!.resetCode, 8);
      assert.equal(atModel().length, 2);
    });

    it('is not for a unary request that is still arriving', () => {
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

    it('is not for a large unary request either, as long as there is room to keep it', () => {
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

    it('takes a larger one as it comes', () => {
      start({ queue: { concurrency: 1 } });
      const body = Buffer.alloc(5_000_000, 'y');
      const call = stack.settle(peer.call({ body }));
      assert.equal(side.model.last.bytes, body.length);
      stack.settle(side.model.last.reply());
      assert.equal(call.status, 0);
      stack.assertIdle();
    });

    it('takes a stream when it begins', () => {
      start({ queue: { concurrency: 1 }, routes: [aStreamRoute()] });
      stack.settle(peer.call({ body: null }));
      assert.equal(atModel().length, 1);
    });

    it('is passed by health and reflection', () => {
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

    it('grows and shrinks with its configuration, and forgets nobody', () => {
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
    it('that resets every call of one connection gets another', () => {
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

    it('that starts is waited for, within the deadline', () => {
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

    it('that went away turns calls away, those in the line too, as never processed', () => {
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

    it('that says GOAWAY or refuses a call did not process it', () => {
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

    it('that cannot be connected to did not process it', () => {
      start();
      side.model.mode = 'refuses';
      stack.settle(side.model.peer.socket.break());
      const call = peer.call();
      stack.advance(100);
      assert.deepEqual([call.status, call.reason], [14, 'model-unavailable']);
      assert.equal(call.trailer('outrider-unprocessed'), 'true');
      stack.assertIdle();
    });

    it('whose outrider metadata nobody believes', () => {
      start();
      side.model.answer = (stream) =>
        stream.begin([['outrider-degraded', 'x']]).trailers(14, [['outrider-unprocessed', 'true']]);
      const call = stack.settle(peer.call());
      assert.equal(call.status, 14);
      assert.ok(!JSON.stringify(call.lists).includes('outrider-'));
    });

    it('is judged by its runs, not by health and reflection', () => {
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

  it('answers an unknown route and an expired call itself', () => {
    start({ routes: [aRoute({ methods: [CHECK] })] });
    const unknown = peer.call();
    const expired = stack.settle(peer.call({ path: CHECK, timeout: '0n' }));
    assert.deepEqual([unknown.status, unknown.reason], [12, 'unknown-route']);
    assert.deepEqual([expired.status, expired.reason], [4, 'deadline-exceeded']);
    assert.equal(atModel().length, 0);
    stack.assertIdle();
  });

  it('grants nobody more time than the route may, streams included', () => {
    start({ routes: [aStreamRoute({ maxTimeoutMs: 2_000 })], queue: { concurrency: 4 } });
    const calls = [peer.call({ body: null, timeout: '1H' }), peer.call({ body: null })];
    const short = peer.call({ body: null, timeout: '1S' });
    stack.advance(1_100);
    assert.deepEqual([short.status, calls[0]!.isOver], [4, false]);
    stack.advance(1_000);
    for (const { status, reason } of calls) assert.deepEqual([status, reason], [4, 'deadline-exceeded']);
    stack.assertIdle();
  });

  it('relays a bidirectional stream to the model', () => {
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
