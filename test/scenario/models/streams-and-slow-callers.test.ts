/**
 * Time that passed without the endpoint being able to help it: streams that last as long as they may, callers that take
 * long to send their request, a stream that fails after a long life. None of it is held against the endpoint that answered; an
 * endpoint that is silent when it is its turn is found out as ever.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aRoute, aSafeRoute, aStreamRoute, type CallOptions, MESSAGE } from '../../kit/stack/stack.js';

const TALK = '/speech.Speech/Talk';
const STREAMS = aStreamRoute({ methods: [TALK] });
const MINUTE_MS = 60_000;

describe('Scenario: streams that last as long as they may', () => {
  let pool: DetectorPool;
  let streams: PeerStream[];

  /** Twelve streams over two endpoints, which answer by hand. */
  const open = (route: Parameters<typeof aStreamRoute>[0], options: CallOptions = {}): void => {
    pool = new DetectorPool(['a', 'b'], { routes: [aStreamRoute({ methods: [TALK], ...route }), aRoute()] });
    pool.answers(() => {});
    streams = [];
    for (let i = 0; i < 12; i++) {
      const stream = pool.caller.call({ path: TALK, body: null, ...options });
      if (options.body === undefined) stream.data(MESSAGE);
      streams.push(stream);
      pool.run();
    }
  };
  const begin = (): void => {
    for (const request of pool.requests) request.begin();
    pool.run();
  };
  /** Every stream answers once a second. */
  const talk = (forMs: number): void => {
    for (let ms = 0; ms < forMs; ms += 1000) {
      for (const request of pool.requests) if (!request.isOver) request.data(MESSAGE);
      pool.advance(1000);
    }
  };
  const assertNoneBlamed = (expected: string): void => {
    for (const { status, reason } of streams)
      assert.deepEqual([status, reason], [Status.DEADLINE_EXCEEDED, expected]);
    assert.deepEqual(pool.states, ['eligible', 'eligible']);
    for (const name of pool.names) assert.equal(pool.endpoint(name).outcomes[1], 0, `faults of ${name}`);
  };

  const talkFor = (forMs: number) => (): void => {
    begin();
    talk(forMs);
  };
  const advance = (ms: number) => (): void => pool.advance(ms);
  for (const [what, route, options, live] of [
    ['a longest life', { maxTimeoutMs: MINUTE_MS }, {}, talkFor(MINUTE_MS + 1000)],
    ['a deadline of their callers', {}, { timeout: '30S' }, talkFor(31_000)],
    [
      'a longest life without a message, for none was due',
      { maxTimeoutMs: MINUTE_MS },
      { body: MESSAGE },
      advance(MINUTE_MS + 1000),
    ],
    ['a deadline while they may still have something to say', {}, { timeout: '5S' }, advance(6000)],
  ] as const) {
    it(what, () => {
      open(route, options);
      live();
      assertNoneBlamed('deadline-exceeded');
    });
  }

  it('a longest idle time, whether or not they have answered', () => {
    for (const answers of [true, false]) {
      open({}, { body: MESSAGE });
      if (answers) begin();
      pool.advance(301_000);
      assertNoneBlamed('idle-timeout');
    }
  });

  it('the same limits, kept by the sidecars of their endpoints', () => {
    for (const answers of [true, false]) {
      open({}, { body: MESSAGE });
      if (answers) begin();
      for (const request of pool.requests) {
        const why: [string, string] = ['outrider-reason', 'idle-timeout'];
        if (answers) request.trailers(Status.DEADLINE_EXCEEDED, [why]);
        else request.fail(Status.DEADLINE_EXCEEDED, [why]);
      }
      pool.run();
      assertNoneBlamed('idle-timeout');
    }
  });

  it('silence until the deadline counts when the whole request was sent', () => {
    open({}, { body: MESSAGE, timeout: '5S' });
    pool.advance(6000);
    assert.equal(pool.states.filter((state) => state === 'ejected').length, 1);
  });

  it('nor are they blamed by an attempt timeout meanwhile, though another endpoint is tried', () => {
    open({ attemptTimeoutMs: 500, idempotent: true, retry: aSafeRoute().retry! });
    pool.advance(2000);
    assertNoneBlamed('attempt-timeout');
    assert.ok(pool.out.outbound.state.retries > 0);
  });
});

describe('Scenario: a stream that fails after a long life', () => {
  it('says nothing of how slow its endpoint is', () => {
    const routes = [STREAMS, aRoute()];
    const pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind: 'least-loaded' }, routes });
    pool.answers(() => {});
    pool.settle(pool.caller.call({ path: TALK, body: null }).data(MESSAGE));
    const name = pool.names.find((each) => pool.requestsAt(each).length > 0)!;
    const stream = pool.backend(name).last.begin();
    for (let i = 0; i < 600; i++) {
      stream.data(MESSAGE);
      pool.advance(1000);
    }
    pool.works(pool.names, 20);
    pool.load(90, 30);
    pool.settle(stream.trailers(Status.INTERNAL));
    // Several calls at once: to a single one, any fault makes the others look better.
    const share = pool.load(600, 5)[name] ?? 0;
    assert.ok(share > 60, `${share} of 600 calls`);
  });
});

describe('Scenario: callers that take long to send their request', () => {
  let pool: DetectorPool;

  /** A request that is begun, and ended after `ms`. */
  const slowly = (ms: number, options: CallOptions = {}): PeerStream => {
    const stream = pool.caller.call({ body: null, ...options });
    stream.data(MESSAGE.subarray(0, 5));
    pool.advance(ms);
    pool.settle(stream.data(MESSAGE.subarray(5), Flag.endStream));
    return stream;
  };
  const faults = (): number => pool.names.reduce((sum, name) => sum + pool.endpoint(name).outcomes[1]!, 0);

  it('and never end: their deadlines count against no endpoint', () => {
    pool = new DetectorPool();
    pool.load(60);
    for (let i = 0; i < 15; i++) pool.caller.call({ body: null, timeout: '3S' });
    pool.advance(3100);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
    assert.equal(faults(), 0);
  });

  it('nor does one that leaves the endpoint no time', () => {
    pool = new DetectorPool();
    pool.works(pool.names, 100);
    pool.load(30, 110);
    for (let i = 0; i < 15; i++) {
      assert.equal(slowly(2950, { timeout: '3S' }).status, -1);
      pool.advance(200);
    }
    assert.equal(faults(), 0);
  });

  it('need no second attempt, for the time of one begins with the endpoint’s turn', () => {
    pool = new DetectorPool(['a', 'b', 'c'], { routes: [aSafeRoute({ attemptTimeoutMs: 250 })] });
    for (let i = 0; i < 12; i++) assert.equal(slowly(400).status, 0);
    assert.deepEqual([pool.out.outbound.state.attempts, faults()], [12, 0]);
  });

  it('and get one when the endpoint is silent then', () => {
    pool = new DetectorPool(['a', 'b'], { routes: [aSafeRoute({ attemptTimeoutMs: 250 })] });
    pool.backend('a').answer = () => {};
    const stream = slowly(1000);
    pool.advance(240);
    assert.equal(stream.status, -1);
    pool.advance(20);
    assert.deepEqual([stream.status, stream.body.toString(), pool.endpoint('a').outcomes[1]], [0, 'b', 1]);
  });

  it('or when it does not take what there is of the request', () => {
    pool = new DetectorPool(['a', 'b'], { routes: [aSafeRoute({ attemptTimeoutMs: 250 })] });
    pool.backend('a').peer.socket.isCut = true;
    const stream = pool.caller.call({ body: null });
    stream.data(Buffer.alloc(600_000), Flag.endStream);
    pool.advance(240);
    assert.equal(stream.status, -1);
    pool.advance(50);
    assert.deepEqual([stream.body.toString(), pool.endpoint('a').outcomes[1]], ['b', 1]);
  });

  it('do not make their endpoint look slow', () => {
    pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind: 'least-loaded' } });
    pool.works(pool.names, 10);
    pool.load(90, 20);
    for (let i = 0; i < 3; i++) slowly(3000);
    pool.advance(100);
    for (const name of pool.names) assert.ok(pool.endpoint(name).latency.peakMs < 20, name);
    const shares = pool.load(90, 20);
    for (const name of pool.names) assert.ok(shares[name]! > 15, JSON.stringify(shares));
  });

  it('do not get it ejected for being slower than its peers', () => {
    pool = new DetectorPool(['a', 'b']);
    pool.works(pool.names, 10);
    // In turn: every slow one goes to the same endpoint.
    for (let i = 0; i < 60; i++) {
      pool.settle(pool.caller.call());
      slowly(90);
      pool.advance(20);
    }
    assert.equal(pool.endpoint('a').attempts, 60);
    assert.deepEqual(pool.states, ['eligible', 'eligible']);
  });

  it('get a second copy as late after the end of their request as others do', () => {
    const hedge = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.5 };
    pool = new DetectorPool(['a', 'b'], {
      routes: [aRoute({ idempotent: true, hedge })],
      budget: { ratio: 1, perSecond: 100 },
    });
    pool.works(pool.names, 40);
    pool.load(30, 50);
    for (let i = 0; i < 30; i++) {
      slowly(300);
      pool.advance(50);
    }
    assert.equal(pool.out.outbound.state.attempts, 60, 'no attempt was late');
    pool.answers(() => {});
    const stream = slowly(90);
    pool.advance(35);
    assert.equal(pool.out.outbound.state.attempts, 61);
    pool.advance(30);
    assert.equal(pool.out.outbound.state.attempts, 62);
    pool.settle(stream.reset());
  });
});
