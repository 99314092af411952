/**
 * An ejected endpoint’s time is over, and one call probes it: one that ends soon, and whose failure no caller sees.
 * Calls whose request is not here, and streams, keep no endpoint out that has recovered.
 */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aRoute, aSafeRoute, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

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
    pool.advance(OUT_MS);
    pool.backend('a').requests.length = 0;
  };
  /** `start` with endpoints that do not answer, when any call may be the probe. */
  const startSilent = (): void => {
    start();
    pool.answers(() => {});
    pool.advance(5_000);
  };
  /** The call is answered by `a`, which is is no longer out. */
  const returns = (stream: PeerStream): void =>
    assert.deepEqual([stream.body.toString(), pool.states[0]], ['a', 'eligible']);

  it('is a unary call whose request is here', () => {
    start();
    returns(pool.call());
  });

  it('is no stream while there are unary calls', () => {
    start();
    const stream = pool.call({ path: TALK, body: null });
    pool.settle(stream.data(MESSAGE));
    assert.equal(pool.requestsAt('a').length, 0);
    pool.call();
    assert.equal(pool.states[0], 'eligible');
    pool.settle(stream.reset());
  });

  it('is a stream when nothing else comes, and is over with its first answer', () => {
    startSilent();
    const stream = pool.call({ path: TALK, body: null });
    pool.settle(stream.data(MESSAGE));
    assert.deepEqual([pool.requestsAt('a').length, pool.states[0]], [1, 'probing']);
    const [far] = pool.requestsAt('a');
    pool.settle(far!.begin());
    assert.equal(pool.states[0], 'eligible');
    // How it ends an hour later is no probe’s result, and no later one’s.
    pool.advance(10_000);
    pool.settle(far!.data(MESSAGE).trailers(14));
    assert.deepEqual([stream.status, pool.states[0]], [14, 'eligible']);
  });

  it('is a stream at once where all calls are', () => {
    start([aStreamRoute()]);
    returns(pool.call());
  });

  it('is another call’s when a stream has brought nothing for long', () => {
    startSilent();
    const stream = pool.call({ path: TALK, body: null });
    const [far] = pool.requestsAt('a');
    pool.advance(29_990);
    const early = pool.call();
    assert.equal(pool.requestsAt('a').length, 1);
    pool.advance(10);
    pool.works('a');
    returns(pool.call());
    pool.settle(far!.fail(14));
    assert.deepEqual([stream.status, pool.states[0]], [14, 'eligible']);
    pool.settle(early.reset());
  });

  it('a stream that fails before its first answer fails it', () => {
    start([aStreamRoute()]);
    pool.fails('a');
    assert.equal(pool.call().status, 14);
    assert.deepEqual([pool.states[0], pool.endpoint('a').ejection.ejections], ['ejected', 2]);
  });

  it('is no call whose request comes slowly: that goes elsewhere after half a second', () => {
    start();
    const slow = pool.call({ body: null });
    assert.equal(pool.requestsAt('a').length, 0);
    assert.equal(pool.backend('b').last.isOver, true, 'it has not been sent');
    returns(pool.call());
    pool.backend('b').requests.length = 0;
    pool.advance(500);
    pool.settle(slow.data(MESSAGE, Flag.endStream));
    assert.equal(slow.status, 0);
  });

  it('is a call whose request is complete soon enough, however large', () => {
    start();
    returns(pool.call({ body: Buffer.alloc(600_000) }));
    assert.equal(pool.requestsAt('a')[0]!.bytes, 600_000);
  });

  it('is not one whose request cannot be kept, unless there is no other', () => {
    start();
    const huge = (): PeerStream => pool.call({ body: Buffer.alloc(4_500_000) });
    assert.equal(huge().body.toString(), 'b');
    pool.advance(5_000);
    returns(huge());
  });

  it('that waits for its request keeps to its deadline, and may be given up', () => {
    start();
    const before = pool.endpoint('a').attempts;
    const [late, left] = [pool.call({ body: null, timeout: '200m' }), pool.call({ body: null })];
    left.reset();
    pool.advance(210);
    assert.deepEqual([late.status, late.reason], [4, 'deadline-exceeded']);
    assert.equal(pool.endpoint('a').attempts, before);
    pool.assertIdle();
  });

  it('of a caller that stalls is no call’s', () => {
    start();
    pool.advance(6_000);
    const stalled = pool.call({ body: null });
    pool.advance(15_010);
    assert.deepEqual([stalled.status, pool.endpoint('a').ejection.ejections], [4, 1]);
  });

  for (const status of [5, 9, 7])
    it(`goes there now and then while it proves nothing: status ${status}`, () => {
      start();
      pool.fails('a', 0, status);
      pool.load(3_000, 10);
      const probes = pool.requestsAt('a').length;
      assert.ok(probes >= 7 && probes <= 12, `${probes} of 3000 calls`);
      pool.works('a');
      pool.load(2_000, 10);
      assert.equal(pool.states[0], 'eligible');
    });

  it('goes there soon after it has room again, however long it was full', () => {
    start();
    const refusal: Field[] = [
      ['outrider-reason', 'overloaded'],
      ['outrider-unprocessed', 'true'],
    ];
    pool.answers((stream) => void stream.fail(8, refusal), 'a');
    pool.load(4_000, 10);
    const probes = pool.requestsAt('a').length;
    assert.ok(probes >= 8 && probes <= 14, `${probes} of 4000 calls`);
    pool.works('a');
    pool.load(420, 10);
    assert.equal(pool.states[0], 'eligible');
  });

  it('is rather a call that may be tried again', () => {
    start([aRoute({ methods: ['/once.Service/*'] }), aSafeRoute()]);
    assert.equal(pool.call({ path: ONCE }).body.toString(), 'b');
    assert.equal(pool.call().body.toString(), 'a');
  });
});
