/**
 * Two copies of a call are under way, and each of them does whatever it likes, in any order, in one turn or in several;
 * the caller may leave. It is answered exactly once, by one of them or by us, and nothing is left over.
 */
import assert from 'node:assert/strict';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute } from '../../kit/stack/stack.js';

type Act = (stream: PeerStream, body: string) => void;

const ACTS: Readonly<Record<string, Act>> = {
  answers: (stream, body) => void stream.reply(Buffer.from(body)),
  'answers without a body': (stream) => void stream.begin().trailers(0),
  'answers at length': (stream, body) => void stream.reply(Buffer.alloc(100_000, body)),
  'begins at length and fails': (stream, body) =>
    void stream.begin().data(Buffer.alloc(100_000, body)).trailers(14),
  'begins and hangs': (stream, body) => void stream.begin().data(Buffer.from(body)),
  hangs: () => {},
  fails: (stream) => void stream.fail(14),
  'fails late': (stream, body) => void stream.reply(Buffer.from(body), 13),
  'blames the request': (stream) => void stream.fail(3),
  'says never again': (stream) => void stream.fail(14, [['grpc-retry-pushback-ms', '-1']]),
  resets: (stream) => void stream.reset(ErrorCode.internalError),
  refuses: (stream) => void stream.reset(ErrorCode.refusedStream),
  'ends without trailers': (stream, body) => void stream.begin().data(Buffer.from(body), Flag.endStream),
  'speaks no gRPC': (stream) => void stream.headers([[':status', '503']], Flag.endStream),
  'goes away': (stream) => stream.peer.goaway(0),
  breaks: (stream) => stream.peer.socket.break(),
};
const NAMES = Object.keys(ACTS);

class Arena extends UpstreamStack {
  constructor(attempts: number) {
    const hedge = { percentile: 0.6, minDelayMs: 1, maxRatio: 0.5 };
    const retry = { attempts, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
    const routes = [aRoute({ idempotent: true, hedge, retry, timeoutMs: 1000 })];
    const ejection = { mode: 'observe' } as const;
    super(['a', 'b', 'c'], { routes, ejection, budget: { ratio: 1, perSecond: 1000 } });
    this.train();
  }

  /** Calls take 20 ms, so that copies are due after 24. */
  train(): void {
    this.works(this.names, 20);
    this.load(24, 30);
    this.answers(() => {});
    this.forget();
  }

  forget(): void {
    for (const name of this.names) this.backend(name).requests.length = 0;
  }

  /** A call with two copies out. */
  hedged(): readonly [PeerStream, PeerStream, PeerStream] {
    const call = this.call();
    const [first] = this.requests;
    this.advance(40);
    const second = this.requests.find((each) => each !== first);
    assert.ok(first && second, 'no copy was sent');
    return [call, first, second];
  }

  /** A call with two copies out for each pair of acts. */
  eachPair(test: (streams: ReturnType<Arena['hedged']>, one: string, other: string) => void): void {
    for (const one of NAMES) {
      NAMES.forEach((other, i) => {
        // So that what calls take is not forgotten over it.
        if (i % 5 === 0) this.train();
        test(this.hedged(), one, other);
      });
    }
  }

  /** The call is over, answered once, and nothing is left of it. */
  finish(call: PeerStream | null, what: string): void {
    // Attempts beyond the two are answered.
    for (let i = 0; i < 4 && call?.isOver === false; i++) {
      this.advance(30);
      for (const each of this.requests.slice(2)) if (each.resetCode === undefined) each.reply();
      this.run();
    }
    this.advance(1000);
    if (call !== null) {
      assert.ok(call.isOver && call.resetCode === undefined, `${what}: never answered`);
      assert.ok(call.status >= 0 && call.lists.length <= 2, `${what}: ${call.lists.length} header lists`);
      const body = call.body.toString();
      assert.ok(!(body.includes('1') && body.includes('2')), `${what}: answered by both`);
    }
    this.assertIdle();
    for (const each of this.requests) if (!each.isOver && !each.peer.isClosed) each.reset();
    this.advance(500);
    this.forget();
  }
}

describe('Scenario: a call with two copies is answered once', () => {
  for (const attempts of [1, 4]) {
    for (const order of ['first then second', 'second then first', 'in one turn'] as const) {
      it(`whatever both do, ${order}, ${attempts} attempts`, () => {
        const arena = new Arena(attempts);
        arena.eachPair(([call, first, second], one, other) => {
          const acts = [
            () => first.peer.isClosed || first.resetCode !== undefined || ACTS[one]!(first, '1'),
            () => second.peer.isClosed || second.resetCode !== undefined || ACTS[other]!(second, '2'),
          ];
          if (order === 'second then first') acts.reverse();
          for (const act of acts) {
            act();
            if (order !== 'in one turn') arena.run();
          }
          arena.run();
          arena.finish(call, `${one}, ${other}, ${order}`);
        });
      }).timeout(20_000);
    }
  }

  it('or not at all, when the caller left before', () => {
    const arena = new Arena(4);
    let n = 0;
    arena.eachPair(([call, first, second], one, other) => {
      call.reset();
      if ((n++ % NAMES.length) % 2 === 0) arena.run();
      if (first.resetCode === undefined) ACTS[one]!(first, '1');
      if (second.resetCode === undefined && !second.peer.isClosed) ACTS[other]!(second, '2');
      arena.run();
      assert.equal(call.lists.length, 0);
      arena.finish(null, `${one}, ${other}, the caller left`);
    });
  }).timeout(20_000);
});
