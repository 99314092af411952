/**
 * An ejected endpoint’s time is over, and one call probes it: one that ends soon, and whose failure no caller sees.
 * Calls whose request is not here, and streams, keep no endpoint out that has recovered.
 */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aRoute, aSafeRoute, aStreamRoute, type CallOptions, MESSAGE } from '../../kit/stack/stack.js';

const TALK = '/talk.Service/Talk';
const ONCE = '/once.Service/Once';
const OUT_MS = 30_000;
const ROUTES = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute()];

describe('Scenario: the probe of an ejected endpoint', () => {
  let pool: DetectorPool;
  /** Of two endpoints, `a` is out and well again; its time is over. */
  const start = (routes: readonly RouteConfig[] = ROUTES): void => {
    pool = new DetectorPool(['a', 'b'], { routes });
    pool.fails('a');
    pool.load(20, 10);
    assert.equal(pool.states[0], 'ejected');
    pool.works('a');
    pool.stack.advance(OUT_MS);
    pool.stack.backend('a').requests.length = 0;
  };
  const call = (options: CallOptions = {}): PeerStream => pool.stack.settle(pool.app.call(options));
  const atA = (): readonly PeerStream[] => pool.stack.backend('a').requests;
  const silent = (): void => {
    for (const name of pool.names) pool.stack.backend(name).answer = () => {};
  };
  const endAll = (...streams: PeerStream[]): void => {
    for (const stream of streams) if (!stream.isOver) stream.reset();
    pool.stack.run();
  };
  afterEach(() => pool.close());

  it('is a unary call whose request is here', () => {
    start();
    const stream = call();
    assert.deepEqual([stream.body.toString(), pool.states[0]], ['a', 'eligible']);
  });

  it('is no stream while there are unary calls', () => {
    start();
    const stream = call({ path: TALK, body: null });
    pool.stack.settle(stream.data(MESSAGE));
    assert.equal(atA().length, 0);
    call();
    assert.equal(pool.states[0], 'eligible');
    endAll(stream);
  });

  it('is a stream when nothing else comes, and is over with its first answer', () => {
    start();
    silent();
    pool.stack.advance(5_000);
    const stream = call({ path: TALK, body: null });
    pool.stack.settle(stream.data(MESSAGE));
    assert.deepEqual([atA().length, pool.states[0]], [1, 'probing']);
    const [far] = atA();
    pool.stack.settle(far!.begin());
    assert.equal(pool.states[0], 'eligible');
    // How it ends an hour later is no probe’s result, and no later one’s.
    pool.stack.advance(10_000);
    pool.stack.settle(far!.data(MESSAGE).trailers(14));
    assert.deepEqual([stream.status, pool.states[0]], [14, 'eligible']);
  });

  it('is a stream at once where all calls are', () => {
    start([aStreamRoute()]);
    assert.equal(call().body.toString(), 'a');
    assert.equal(pool.states[0], 'eligible');
  });

  it('is another call’s when a stream has brought nothing for long', () => {
    start();
    silent();
    pool.stack.advance(5_000);
    const stream = call({ path: TALK, body: null });
    const [far] = atA();
    pool.stack.advance(29_990);
    const early = call();
    assert.equal(atA().length, 1);
    pool.stack.advance(10);
    pool.works('a');
    assert.equal(call().body.toString(), 'a');
    assert.equal(pool.states[0], 'eligible');
    pool.stack.settle(far!.fail(14));
    assert.deepEqual([stream.status, pool.states[0]], [14, 'eligible']);
    endAll(early);
  });

  it('a stream that fails before its first answer fails it', () => {
    start([aStreamRoute()]);
    pool.fails('a');
    assert.equal(call().status, 14);
    assert.deepEqual([pool.states[0], pool.endpoint('a').ejection.ejections], ['ejected', 2]);
  });

  it('is no call whose request comes slowly: that goes elsewhere after half a second', () => {
    start();
    const slow = call({ body: null });
    assert.equal(atA().length, 0);
    assert.equal(pool.stack.backend('b').last.isOver, true, 'it has not been sent');
    const other = call();
    assert.deepEqual([other.body.toString(), pool.states[0]], ['a', 'eligible']);
    pool.stack.backend('b').requests.length = 0;
    pool.stack.advance(500);
    pool.stack.settle(slow.data(MESSAGE, Flag.endStream));
    assert.equal(slow.status, 0);
  });

  it('is a call whose request is complete soon enough, however large', () => {
    start();
    const large = call({ body: Buffer.alloc(600_000) });
    assert.deepEqual([large.body.toString(), pool.states[0]], ['a', 'eligible']);
    assert.equal(atA()[0]!.bytes, 600_000);
  });

  it('is not one whose request cannot be kept, unless there is no other', () => {
    start();
    const huge = (): string => call({ body: Buffer.alloc(1_500_000) }).body.toString();
    assert.equal(huge(), 'b');
    pool.stack.advance(5_000);
    assert.equal(huge(), 'a');
    assert.equal(pool.states[0], 'eligible');
  });

  it('that waits for its request keeps to its deadline, and may be given up', () => {
    start();
    const before = pool.endpoint('a').attempts;
    const [late, left] = [call({ body: null, timeout: '200m' }), call({ body: null })];
    left.reset();
    pool.stack.advance(210);
    assert.deepEqual([late.status, late.reason], [4, 'deadline-exceeded']);
    assert.equal(pool.endpoint('a').attempts, before);
    pool.stack.assertIdle();
  });

  it('of a caller that stalls is no call’s', () => {
    start();
    pool.stack.advance(6_000);
    const stalled = call({ body: null });
    pool.stack.advance(15_010);
    assert.deepEqual([stalled.status, pool.endpoint('a').ejection.ejections], [4, 1]);
  });

  it('is rather a call that may be tried again', () => {
    start([aRoute({ methods: ['/once.Service/*'] }), aSafeRoute()]);
    assert.equal(call({ path: ONCE }).body.toString(), 'b');
    assert.equal(call().body.toString(), 'a');
  });
});
