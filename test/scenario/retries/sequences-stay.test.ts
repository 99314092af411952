/**
 * A call of a sequence is not processed by its replica, which is full or replaces its connection: it does not go to another replica,
 * which knows nothing of the sequence.
 */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { type SequenceRequestOptions, sequenceRequest } from '../../kit/scenario/sequence-request.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { aRoute, aSafeRoute } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c'];
const ALL_STREAMS = 0x7fffffff;
const PUSHBACK_MS = 200;
const PUSHBACK: Field = ['grpc-retry-pushback-ms', String(PUSHBACK_MS)];
const BACKOFF = { baseMs: 1, maxMs: 1 };

describe('Scenario: a sequence stays at its replica', () => {
  let stack: UpstreamStack;
  let home: string;

  const start = (
    route: RouteConfig = aRoute(),
    options: UpstreamStackOptions = {},
    spill: { readonly spillAbove?: number } = {},
  ): void => {
    const balance = { kind: 'ring-hash', hashOn: { parameter: 'sequence_id' }, ...spill } as const;
    stack = new UpstreamStack(NAMES, { balance, routes: [route] }, options);
    stack.works();
    home = call().body.toString();
    forget();
  };
  const forget = (): void => {
    for (const name of NAMES) stack.backend(name).requests.length = 0;
  };
  const call = (options?: SequenceRequestOptions): PeerStream =>
    stack.call({ body: sequenceRequest('s', options) });
  const requests = (): [atHome: number, elsewhere: number] => {
    const atHome = stack.requestsAt(home).length;
    return [atHome, stack.requests.length - atHome];
  };
  const endOf = ({ status, body }: PeerStream): unknown[] => [status, body.toString()];
  /** The replica refuses so many calls before any work. */
  const refuses = (times: number, reason: string, status: number, more: readonly Field[] = []): void => {
    let left = times;
    stack.answers((stream) => {
      left--;
      if (left < 0) return void stream.reply(Buffer.from(home));
      stream.fail(status, [['outrider-reason', reason], ['outrider-unprocessed', 'true'], ...more]);
    }, home);
  };

  for (const [what, reason, more] of [
    ['that is full', 'overloaded', []],
    ['the model that it names is full there', 'overloaded', [['outrider-model', 'm']]],
    ['its caller calls too often there', 'rate-limited', []],
    ['its caller asks for that model too often there', 'rate-limited', [['outrider-model', 'm']]],
  ] as const)
    it(`when ${what}: the caller gets the refusal`, () => {
      start();
      refuses(1, reason, 8, [PUSHBACK, ...more]);
      const refused = call();
      assert.deepEqual([refused.status, refused.trailer(PUSHBACK[0]), requests()], [8, PUSHBACK[1], [1, 0]]);
    });

  it('unless spill_above lets it leave a full one', () => {
    start(aRoute(), {}, { spillAbove: 2 });
    refuses(1, 'overloaded', 8, [PUSHBACK]);
    assert.deepEqual([call().status, requests()], [0, [1, 1]]);
  });

  it('when that is full, after the pause that it asks for, where the route allows a retry', () => {
    start(aSafeRoute({ retry: { attempts: 2, on: [8], backoff: BACKOFF } }));
    refuses(1, 'overloaded', 8, [PUSHBACK]);
    const refused = call();
    stack.advance(PUSHBACK_MS - 10);
    assert.deepEqual(requests(), [1, 0]);
    stack.advance(20);
    assert.deepEqual(
      [endOf(refused), requests()],
      [
        [0, home],
        [2, 0],
      ],
    );
  });

  it('when that refuses the stream', () => {
    start();
    let isFirst = true;
    stack.answers((stream) => {
      if (isFirst) stream.reset(ErrorCode.refusedStream);
      else stream.reply(Buffer.from(home));
      isFirst = false;
    }, home);
    const refused = call();
    stack.advance(300);
    assert.deepEqual(
      [endOf(refused), requests()],
      [
        [0, home],
        [2, 0],
      ],
    );
  });

  it('when its call crosses the last GOAWAY of a connection', () => {
    start();
    stack.answers(() => {}, home);
    const crossing = call();
    stack.works(home);
    stack.settle(stack.backend(home).peer.goaway(1));
    stack.advance(300);
    assert.deepEqual(
      [endOf(crossing), requests()],
      [
        [0, home],
        [2, 0],
      ],
    );
    assert.equal(stack.backend(home).peers.length, 2);
  });

  it('while that replaces its only connection, however long the new one takes', () => {
    start();
    stack.backend(home).mode = 'silent';
    stack.settle(stack.backend(home).peer.goaway(ALL_STREAMS));
    const waiting = call();
    stack.advance(500);
    assert.deepEqual([waiting.isOver, requests()], [false, [0, 0]]);
    stack.revive(home);
    stack.advance(2_000);
    assert.equal(waiting.status, 0);
    assert.equal(call().body.toString(), home);
  });

  it('while one of another zone, which the ring has before it, replaces its only connection', () => {
    start();
    const far = home;
    const endpoints = NAMES.map((id) => {
      const address = { kind: 'tcp', host: id, port: 1 } as const;
      return { address, weight: 1, id, locality: id === far ? 'far' : 'near' };
    });
    const balance = { kind: 'ring-hash', hashOn: { parameter: 'sequence_id' } } as const;
    const locality = { own: 'near', spillBelow: 0.7 };
    stack = new UpstreamStack(NAMES, { balance, routes: [aRoute()], endpoints, locality });
    stack.works();
    const near = call().body.toString();
    assert.notEqual(near, far);
    stack.backend(far).mode = 'silent';
    stack.settle(stack.backend(far).peer.goaway(ALL_STREAMS));
    assert.deepEqual(endOf(call()), [0, near]);
  });

  it('unless no new connection comes: the process has gone, and the sequence with it', () => {
    start();
    stack.backend(home).mode = 'refuses';
    stack.settle(stack.backend(home).peer.goaway(ALL_STREAMS));
    stack.advance(10);
    const moved = call();
    assert.deepEqual([moved.status, requests()], [0, [0, 1]]);
  });

  it('unless it crosses the GOAWAY of a process that goes', () => {
    start();
    stack.answers(() => {}, home);
    const crossing = call();
    stack.backend(home).peer.goaway(1);
    stack.backend(home).mode = 'refuses';
    stack.advance(300);
    assert.deepEqual([crossing.status, requests()], [0, [1, 1]]);
  });

  for (const [reason, status, more] of [
    ['draining', 14, []],
    ['connect-failed', 14, []],
    ['model-unavailable', 14, []],
    ['model-not-ready', 14, [['outrider-model', 'm']]],
  ] as const)
    it(`unless that has no state any more: ${reason}`, () => {
      start();
      refuses(1, reason, status, more);
      assert.deepEqual([call().status, requests()], [0, [1, 1]]);
    });

  const startHedged = (spill?: { readonly spillAbove?: number }): void => {
    const hedge = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.5 };
    start(aRoute({ idempotent: true, hedge }), {}, spill);
    for (let i = 0; i < 60; i++) {
      call();
      stack.advance(50);
    }
    stack.answers(() => {});
    forget();
  };

  it('unless spill_above lets it be hedged', () => {
    startHedged({ spillAbove: 2 });
    const late = call();
    stack.advance(200);
    assert.deepEqual(requests(), [1, 1]);
    stack.settle(late.reset());
  });

  it('where its calls are hedged', () => {
    startHedged();
    const late = call();
    stack.advance(200);
    assert.deepEqual(requests(), [1, 0]);
    const keyless = stack.call({ body: sequenceRequest(undefined) });
    stack.advance(200);
    assert.equal(stack.requests.length, 3, 'other calls are');
    for (const stream of [late, keyless]) stack.settle(stream.reset());
  });

  for (const isStart of [false, true])
    it(`when its connection breaks under a long request: ${isStart ? 'not yet, for there is no state' : 'the call fails'}`, () => {
      start(aRoute(), { peer: { replenishes: false } });
      const lost = call({ inputBytes: 300_000, isStart });
      stack.kill(home);
      stack.advance(1_000);
      const begun = stack.requests.filter((each) => each.bytes > 0).length;
      if (!isStart) assert.deepEqual([lost.status, requests(), begun], [14, [1, 0], 1]);
      else assert.deepEqual([lost.isOver, requests()], [false, [1, 1]]);
      stack.settle(lost.reset());
    });
});

describe('Scenario: calls that belong to no sequence', () => {
  it('leave a full replica', () => {
    const balance = { kind: 'ring-hash', hashOn: { parameter: 'sequence_id' } } as const;
    const stack = new UpstreamStack(NAMES, { balance });
    stack.works();
    stack.answers(
      (stream) =>
        void stream.fail(8, [
          ['outrider-reason', 'overloaded'],
          ['outrider-unprocessed', 'true'],
        ]),
      'a',
    );
    for (let i = 0; i < 20; i++) assert.equal(stack.call().status, 0);
    assert.ok(stack.requestsAt('a').length > 0);
  });
});
