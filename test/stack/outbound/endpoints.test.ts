/** Outbound calls and their endpoints: ejection and probes, outages, and a set of endpoints that changes under load. */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { assertEnd, bodiesOf } from '../../kit/stack/call-ends.js';
import { anUpstream, aRoute, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

describe('Outbound: endpoints', () => {
  let stack: UpstreamStack;

  const start = (...args: ConstructorParameters<typeof UpstreamStack>): void => {
    stack = new UpstreamStack(...args);
    for (const name of args[0]) answers(name);
  };
  /** Two endpoints; `a` is ejected, for five faults in a row. */
  const startEjected = (over: UpstreamOptions = {}): void => {
    start(['a', 'b'], over);
    fails('a', 13);
    calls(10);
  };
  const answers = (name: string): void => stack.answers((stream) => stream.reply(Buffer.from(name)), name);
  const fails = (name: string, status = 14): void => stack.answers((stream) => stream.fail(status), name);
  const hangs = (name: string): void => stack.answers(() => {}, name);
  const calls = (n: number, options = {}): PeerStream[] =>
    stack.settle(Array.from({ length: n }, () => stack.caller.call(options)));
  const call = (options = {}): PeerStream => stack.call(options);
  const assertAllServed = (made: readonly PeerStream[]): void => {
    for (const each of made) assert.equal(each.status, 0);
  };
  const assertState = (name: string, state: EjectionState, message?: string): void =>
    assert.equal(stack.endpoint(name).ejection.state, state, message);
  const seen = (name: string): number => stack.backend(name).requests.length;

  it('a ring hash chooses endpoints by its key from the first call on', () => {
    start(['a', 'b', 'c', 'd'], { balance: { kind: 'ring-hash', key: 'x-session' } });
    const homes = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const options = { metadata: [['x-session', `s${i}`]] };
      const answered = bodiesOf(Array.from({ length: 5 }, () => call(options)));
      assert.equal(new Set(answered).size, 1, `${answered}`);
      homes.add(answered[0]!);
    }
    assert.ok(homes.size >= 3, 'they are spread');
    assert.ok(new Set(bodiesOf(calls(40))).size === 4, 'without the key, anywhere');
  });

  describe('that fail', () => {
    it('an endpoint with five faults in a row is ejected and gets no calls until its ejection time is over', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(8);
      assertState('a', EjectionState.admitted);
      calls(2);
      assertState('a', EjectionState.ejected);
      const before = seen('a');
      calls(20);
      stack.advance(29_000);
      calls(20);
      assert.equal(seen('a'), before);
    });

    it('an ejected endpoint keeps its connection', () => {
      startEjected();
      assert.equal(stack.backend('a').open.length, 1);
    });

    it('an ejected endpoint returns after the success of one probe', () => {
      startEjected();
      stack.advance(30_000);
      hangs('a');
      const before = seen('a');
      calls(10);
      assert.equal(seen('a'), before + 1, 'one probe, however many calls');
      assertState('a', EjectionState.probing);
      stack.settle(stack.backend('a').last.reply());
      assertState('a', EjectionState.admitted);
      answers('a');
      calls(4);
      assert.equal(seen('a'), before + 3);
    });

    it('an endpoint whose probe fails is ejected for twice as long', () => {
      startEjected();
      stack.advance(30_000);
      calls(2);
      assertState('a', EjectionState.ejected);
      const before = seen('a');
      stack.advance(59_000);
      calls(2);
      assert.equal(seen('a'), before);
      answers('a');
      stack.advance(2000);
      calls(2);
      assertState('a', EjectionState.admitted);
    });

    it('an ejected endpoint is probed again when the caller of its probe leaves, or the deadline passes', () => {
      startEjected();
      stack.advance(30_000);
      hangs('a');
      const left = call();
      assertState('a', EjectionState.probing);
      stack.settle(left.reset());
      assertState('a', EjectionState.ejected);
      call({ timeout: '50m' });
      assertState('a', EjectionState.probing);
      stack.advance(60);
      assertState('a', EjectionState.ejected);
      answers('a');
      call();
      assertState(
        'a',
        EjectionState.ejected,
        'after two that proved nothing, the next one waits for a second',
      );
      stack.advance(1_000);
      call();
      assertState('a', EjectionState.admitted);
    });

    describe('where some calls may be tried again', () => {
      const routes = [aSafeRoute({ methods: ['/p.S/Safe'] }), aRoute()];
      beforeEach(() => startEjected({ routes }));

      it('an ejected endpoint is probed by a call that may be tried again', () => {
        stack.advance(30_000);
        const before = seen('a');
        calls(5);
        assert.equal(seen('a'), before, 'the others are spared');
        answers('a');
        call({ path: '/p.S/Safe' });
        assertState('a', EjectionState.admitted);
      });

      it('an ejected endpoint is probed by any call when no retryable one comes for 5 s', () => {
        answers('a');
        stack.advance(36_000);
        call();
        assertState('a', EjectionState.admitted);
      });
    });

    it('calls that began before an ejection neither prolong nor end it', () => {
      start(['a', 'b']);
      hangs('a');
      const slow = calls(4).filter(({ isOver }) => !isOver);
      assert.equal(slow.length, 2);
      const old = stack.backend('a').requests.slice();
      stack.advance(10); // A call's time is told apart from the ejection's only when they differ.
      fails('a', 13);
      calls(10);
      assertState('a', EjectionState.ejected);
      old[0]!.reply();
      stack.settle(old[1]!.fail(13));
      assertState('a', EjectionState.ejected, 'a late success admits no endpoint again');
      assert.equal(stack.endpoint('a').ejection.ejections, 1);
    });

    for (const status of [1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 16]) {
      it(`an endpoint is not ejected for status ${status}, an error of its callers or of a full endpoint`, () => {
        start(['a', 'b']);
        fails('a', status);
        calls(40);
        assertState('a', EjectionState.admitted);
      });
    }

    it('an endpoint is not ejected for timeouts while the event loop stood still', () => {
      start(['a', 'b'], { routes: [aRoute({ timeoutMs: 2000 })] });
      hangs('a');
      for (const hasStalled of [true, false]) {
        calls(20);
        stack.hasStalled = hasStalled;
        stack.advance(2100);
        assertState('a', hasStalled ? EjectionState.admitted : EjectionState.ejected);
        stack.hasStalled = false;
      }
    });

    it('the last eligible endpoint is not ejected, and gets all calls', () => {
      start(['a', 'b']);
      for (const name of ['a', 'b']) fails(name, 13);
      calls(200);
      assert.equal(stack.out.cluster.endpoints.filter(({ ejection }) => ejection.state !== 0).length, 1);
      for (const { status } of calls(20)) assert.equal(status, 13, 'not "no endpoint"');
    });

    it('ejected endpoints serve again in a panic, when the others are gone', () => {
      start(['a', 'b', 'c', 'd']);
      for (const name of ['a', 'b']) fails(name, 13);
      calls(40);
      assert.equal(stack.out.cluster.ejections.members.ejected, 2);
      for (const name of ['c', 'd']) stack.kill(name);
      stack.run();
      for (const name of ['a', 'b']) answers(name);
      assertAllServed(calls(10));
      assert.equal(stack.out.cluster.panics, 1);
    });
  });

  describe('that are not connected', () => {
    it('an endpoint without a connection gets no calls while another has one', () => {
      start(['a', 'b']);
      stack.settle(stack.kill('a'));
      for (const body of bodiesOf(calls(10))) assert.equal(body, 'b');
    });

    it('calls fail at once while no endpoint can be connected to, and succeed at once when one can', () => {
      start(['a', 'b']);
      for (const name of ['a', 'b']) stack.kill(name);
      stack.run();
      const lost = call();
      stack.advance(300);
      assertEnd(lost, [14, 'connect-failed']);
      for (const name of ['a', 'b']) stack.revive(name);
      stack.advance(25);
      for (const each of calls(10)) {
        stack.advance(25);
        assert.equal(each.status, 0);
      }
      stack.advance(10_000);
      const { ejections, endpoints } = stack.out.cluster;
      assert.deepEqual(
        [ejections.members.ejected, ...endpoints.map(({ eligible }) => eligible)],
        [0, true, true],
      );
    });

    it('the first calls wait for their endpoint to connect', () => {
      start(['a', 'b'], {}, { peer: { settings: null } });
      const made = calls(6);
      stack.advance(300);
      assert.ok(!made.some(({ isOver }) => isOver));
      for (const name of ['a', 'b']) stack.backend(name).peer.announce([]);
      stack.run();
      assertAllServed(made);
    });

    it('a call that waits for a connection goes to another endpoint once the connect has failed', () => {
      start([]);
      stack.backend('a').mode = 'silent';
      stack.backend('b').peerOptions = { settings: null };
      answers('b');
      stack.settle(stack.out.outbound.state.update(anUpstream(['a', 'b'])));
      const made = calls(4);
      stack.backend('b').peer.announce([]);
      stack.advance(1100);
      assertAllServed(made);
      assert.deepEqual(bodiesOf(made), ['b', 'b', 'b', 'b']);
    });

    it('a lost connection is replaced at once', () => {
      start(['a']);
      call();
      stack.settle(stack.backend('a').peer.socket.break());
      assert.deepEqual([call().status, stack.backend('a').peers.length], [0, 2]);
    });
  });

  describe('that change under load', () => {
    const update = (names: readonly string[], over: UpstreamOptions = {}): void => {
      for (const name of names) stack.backend(name);
      stack.settle(stack.out.outbound.state.update(anUpstream(names, over)));
    };
    const counts = (): number[] => {
      const { size, ejected, eligible } = stack.out.cluster.ejections.members;
      return [size, ejected, eligible];
    };

    it('endpoints that stay keep their connections and statistics when others come and go', () => {
      startEjected();
      const kept = stack.endpoint('b');
      answers('c');
      update(['b', 'a', 'c']);
      assert.equal(stack.endpoint('b'), kept);
      assertState('a', EjectionState.ejected);
      assert.deepEqual([stack.backend('a').peers.length, stack.backend('b').peers.length], [1, 1]);
      assert.deepEqual(bodiesOf(calls(4)).sort(), ['b', 'b', 'c', 'c']);
    });

    it('an endpoint that is taken away finishes its calls and gets no new ones', () => {
      start(['a', 'b']);
      hangs('a');
      const slow = calls(2).find(({ isOver }) => !isOver)!;
      update(['b']);
      assert.deepEqual(bodiesOf(calls(4)), ['b', 'b', 'b', 'b']);
      assert.equal(stack.backend('a').open.length, 1);
      stack.settle(stack.backend('a').last.reply(Buffer.from('late')));
      assert.deepEqual([slow.status, slow.body.toString(), stack.backend('a').open.length], [0, 'late', 0]);
    });

    it('faults of an endpoint that has been taken away do not count', () => {
      start(['a', 'b', 'c']);
      hangs('a');
      calls(30);
      assert.equal(stack.endpoint('a').inFlight, 10);
      update(['b', 'c']);
      for (const stream of stack.backend('a').requests) stream.fail(13);
      stack.run();
      assert.deepEqual(counts(), [2, 0, 2]);
    });

    it('a probe of an endpoint that has been taken away does not count', () => {
      start(['a', 'b', 'c']);
      fails('a', 13);
      calls(15);
      stack.advance(30_000);
      hangs('a');
      call();
      assertState('a', EjectionState.probing);
      update(['b', 'c']);
      stack.settle(stack.backend('a').last.reply());
      assert.deepEqual(counts(), [2, 0, 2]);
    });

    it('a call that waits for an endpoint that is taken away goes to another', () => {
      start(['a'], {}, { mode: 'silent' });
      const waiting = call();
      answers('b');
      update(['b']);
      stack.advance(30);
      assert.deepEqual([waiting.status, waiting.body.toString()], [0, 'b']);
    });

    it('calls are shared by the weights of endpoints, and weight zero gets none', () => {
      start(['a', 'b']);
      const { endpoints } = anUpstream(['a', 'b']);
      const weigh = (...weights: number[]): void =>
        update(['a', 'b'], { endpoints: endpoints.map((each, i) => ({ ...each, weight: weights[i]! })) });
      weigh(3, 1);
      calls(40);
      assert.deepEqual([seen('a'), seen('b')], [30, 10]);
      weigh(0, 1);
      calls(10);
      assert.deepEqual([seen('a'), seen('b')], [30, 20]);
    });

    it('calls are refused with no-endpoint while an upstream has none', () => {
      start(['a']);
      update([]);
      assertEnd(call(), [14, 'no-endpoint']);
      update(['a']);
      assert.equal(call().status, 0);
    });

    it('new routes and detectors apply at once', () => {
      start(['a', 'b']);
      fails('a');
      update(['a', 'b'], { routes: [aSafeRoute()], ejection: { consecutiveFaults: 2 } });
      assertAllServed(calls(8));
      assertState('a', EjectionState.ejected);
      update(['a', 'b'], { ejection: { mode: 'observe' } });
      assertState('a', EjectionState.admitted);
    });
  });

  it('an endpoint is charged with its own attempt, not with the outcome of the call', () => {
    start(['a', 'b'], { routes: [aSafeRoute()] });
    fails('a');
    assertAllServed(calls(10));
    assertState('a', EjectionState.ejected);
    assert.equal(stack.endpoint('b').ejection.consecutiveFaults, 0);
  });

  it('REFUSED_STREAM is no fault of an endpoint, and any other reset is', () => {
    start(['a', 'b']);
    stack.answers((stream) => stream.reset(ErrorCode.internalError), 'a');
    calls(10);
    assertState('a', EjectionState.ejected);
    assert.match(stack.endpoint('a').lastFault, /reset with code 2/);
  });
});
