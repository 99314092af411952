/** Outbound calls and their endpoints: ejection and probes, outages, and a set of endpoints that changes under load. */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  aRoute,
  aSafeRoute,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

describe('Outbound: endpoints', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;

  const start = (names: readonly string[], over: UpstreamOptions = {}): void => {
    stack = new Stack();
    for (const name of names) answers(name);
    out = stack.outbound(anUpstream(names, over));
    app = stack.app(out.listener);
  };
  const answers = (name: string): void => {
    stack.backend(name).answer = (stream) => stream.reply(Buffer.from(name));
  };
  const fails = (name: string, status = 14): void => {
    stack.backend(name).answer = (stream) => stream.fail(status);
  };
  const hangs = (name: string): void => {
    stack.backend(name).answer = () => {};
  };
  const calls = (n: number, options = {}): PeerStream[] =>
    stack.settle(Array.from({ length: n }, () => app.call(options)));
  const endpoint = (name: string) => out.cluster.endpoints.find(({ id }) => id === name)!;
  const stateOf = (name: string) => endpoint(name).ejection.state;
  const seen = (name: string): number => stack.backend(name).requests.length;
  afterEach(() => stack.close());

  it('a ring hash chooses endpoints by its key from the first call on', () => {
    const names = ['a', 'b', 'c', 'd'];
    start(names, { balance: { kind: 'ring-hash', key: 'x-session' } });
    const homes = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const options = { metadata: [['x-session', `s${i}`]] };
      const answered = Array.from({ length: 5 }, () => calls(1, options)[0]!.body.toString());
      assert.equal(new Set(answered).size, 1, `${answered}`);
      homes.add(answered[0]!);
    }
    assert.ok(homes.size >= 3, 'they are spread');
    assert.ok(new Set(calls(40).map(({ body }) => body.toString())).size === 4, 'without the key, anywhere');
  });

  describe('that fail', () => {
    it('an endpoint with five faults in a row is ejected and gets no calls until its ejection time is over', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(8);
      assert.equal(stateOf('a'), EjectionState.admitted);
      calls(2);
      assert.equal(stateOf('a'), EjectionState.ejected);
      const before = seen('a');
      calls(20);
      stack.advance(29_000);
      calls(20);
      assert.equal(seen('a'), before);
    });

    it('an ejected endpoint keeps its connection', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(10);
      assert.equal(stack.backend('a').open.length, 1);
    });

    it('an ejected endpoint returns after the success of one probe', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(10);
      stack.advance(30_000);
      hangs('a');
      const before = seen('a');
      calls(10);
      assert.equal(seen('a'), before + 1, 'one probe, however many calls');
      assert.equal(stateOf('a'), EjectionState.probing);
      stack.backend('a').last.reply();
      stack.run();
      assert.equal(stateOf('a'), EjectionState.admitted);
      answers('a');
      calls(4);
      assert.equal(seen('a'), before + 3);
    });

    it('an endpoint whose probe fails is ejected for twice as long', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(10);
      stack.advance(30_000);
      calls(2);
      assert.equal(stateOf('a'), EjectionState.ejected);
      const before = seen('a');
      stack.advance(59_000);
      calls(2);
      assert.equal(seen('a'), before);
      answers('a');
      stack.advance(2000);
      calls(2);
      assert.equal(stateOf('a'), EjectionState.admitted);
    });

    it('an ejected endpoint is probed again when the caller of its probe leaves, or the deadline passes', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(10);
      stack.advance(30_000);
      hangs('a');
      const [left] = calls(1);
      assert.equal(stateOf('a'), EjectionState.probing);
      stack.settle(left!.reset());
      assert.equal(stateOf('a'), EjectionState.ejected);
      calls(1, { timeout: '50m' });
      assert.equal(stateOf('a'), EjectionState.probing);
      stack.advance(60);
      assert.equal(stateOf('a'), EjectionState.ejected);
      answers('a');
      calls(1);
      assert.equal(stateOf('a'), EjectionState.admitted);
    });

    it('an ejected endpoint is probed by a call that may be tried again, where there are such', () => {
      const routes = [aSafeRoute({ methods: ['/p.S/Safe'] }), aRoute()];
      start(['a', 'b'], { routes });
      fails('a', 13);
      calls(10);
      stack.advance(30_000);
      const before = seen('a');
      calls(5);
      assert.equal(seen('a'), before, 'the others are spared');
      answers('a');
      calls(1, { path: '/p.S/Safe' });
      assert.equal(stateOf('a'), EjectionState.admitted);
    });

    it('an ejected endpoint is probed by any call when no retryable one comes for 5 s', () => {
      const routes = [aSafeRoute({ methods: ['/p.S/Safe'] }), aRoute()];
      start(['a', 'b'], { routes });
      fails('a', 13);
      calls(10);
      answers('a');
      stack.advance(36_000);
      calls(1);
      assert.equal(stateOf('a'), EjectionState.admitted);
    });

    it('calls that began before an ejection neither prolong nor end it', () => {
      start(['a', 'b']);
      hangs('a');
      const slow = calls(4).filter((call) => !call.isOver);
      assert.equal(slow.length, 2);
      const old = stack.backend('a').requests.slice();
      stack.advance(10); // A call's time is told apart from the ejection's only when they differ.
      fails('a', 13);
      calls(10);
      assert.equal(stateOf('a'), EjectionState.ejected);
      old[0]!.reply();
      stack.settle(old[1]!.fail(13));
      assert.equal(stateOf('a'), EjectionState.ejected, 'a late success re-admits nobody');
      assert.equal(endpoint('a').ejection.ejections, 1);
    });

    it('an endpoint is ejected neither for errors of its callers nor for being full', () => {
      for (const status of [1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 16]) {
        start(['a', 'b']);
        fails('a', status);
        calls(40);
        assert.equal(stateOf('a'), EjectionState.admitted, `status ${status}`);
        stack.close();
      }
      start(['a', 'b']);
    });

    it('an endpoint is not ejected for timeouts while the event loop stood still', () => {
      start(['a', 'b'], { routes: [aRoute({ timeoutMs: 2000 })] });
      hangs('a');
      calls(20);
      stack.hasStalled = true;
      stack.advance(2100);
      assert.equal(stateOf('a'), EjectionState.admitted);
      stack.hasStalled = false;
      calls(20);
      stack.advance(2100);
      assert.equal(stateOf('a'), EjectionState.ejected);
    });

    it('the last eligible endpoint is not ejected, and gets all calls', () => {
      start(['a', 'b']);
      fails('a', 13);
      fails('b', 13);
      calls(200);
      assert.deepEqual([stateOf('a'), stateOf('b')].filter((state) => state !== 0).length, 1);
      for (const call of calls(20)) assert.equal(call.status, 13, 'not "no endpoint"');
    });

    it('ejected endpoints serve again in a panic, when the others are gone', () => {
      start(['a', 'b', 'c', 'd']);
      for (const name of ['a', 'b']) fails(name, 13);
      calls(40);
      assert.equal(out.cluster.ejections.ejected, 2);
      for (const name of ['c', 'd']) {
        stack.backend(name).mode = 'refuses';
        stack.backend(name).peer.socket.break();
      }
      stack.run();
      for (const name of ['a', 'b']) answers(name);
      for (const call of calls(10)) assert.equal(call.status, 0);
      assert.equal(out.cluster.panics, 1);
    });
  });

  describe('that are not connected', () => {
    const everyoneLeaves = (): void => {
      for (const name of ['a', 'b']) {
        stack.backend(name).mode = 'refuses';
        for (const peer of stack.backend(name).open) peer.socket.break();
      }
      stack.run();
    };

    it('an endpoint without a connection gets no calls while another has one', () => {
      start(['a', 'b']);
      stack.backend('a').mode = 'refuses';
      stack.backend('a').peer.socket.break();
      stack.run();
      for (const call of calls(10)) assert.equal(call.body.toString(), 'b');
    });

    it('calls fail at once while no endpoint can be connected to, and succeed at once when one can', () => {
      start(['a', 'b']);
      everyoneLeaves();
      const [lost] = calls(1);
      stack.advance(300);
      assert.deepEqual([lost!.status, lost!.reason], [14, 'connect-failed']);
      for (const name of ['a', 'b']) stack.backend(name).mode = 'accepts';
      stack.advance(25);
      for (const call of calls(10)) {
        stack.advance(25);
        assert.equal(call.status, 0);
      }
      stack.advance(10_000);
      assert.equal(out.cluster.ejections.ejected, 0);
      assert.deepEqual(
        out.cluster.endpoints.map(({ eligible }) => eligible),
        [true, true],
      );
    });

    it('the first calls wait for their endpoint to connect', () => {
      stack = new Stack();
      for (const name of ['a', 'b']) {
        answers(name);
        stack.backend(name).peerOptions = { settings: null };
      }
      out = stack.outbound(anUpstream(['a', 'b']));
      app = stack.app(out.listener);
      const made = calls(6);
      stack.advance(300);
      assert.equal(
        made.some(({ isOver }) => isOver),
        false,
      );
      for (const name of ['a', 'b']) stack.backend(name).peer.announce([]);
      stack.run();
      for (const call of made) assert.equal(call.status, 0);
    });

    it('a call that waits for a connection goes to another endpoint once the connect has failed', () => {
      stack = new Stack();
      for (const name of ['a', 'b']) answers(name);
      stack.backend('a').mode = 'silent';
      stack.backend('b').peerOptions = { settings: null };
      out = stack.outbound(anUpstream(['a', 'b']));
      app = stack.app(out.listener);
      const made = calls(4);
      stack.backend('b').peer.announce([]);
      stack.advance(1100);
      for (const call of made) assert.deepEqual([call.status, call.body.toString()], [0, 'b']);
    });

    it('a lost connection is replaced at once', () => {
      start(['a']);
      calls(1);
      stack.backend('a').peer.socket.break();
      stack.run();
      const [call] = calls(1);
      assert.equal(call!.status, 0);
      assert.equal(stack.backend('a').peers.length, 2);
    });
  });

  describe('that change under load', () => {
    const update = (names: readonly string[], over: UpstreamOptions = {}): void => {
      for (const name of names) stack.backend(name);
      stack.settle(out.outbound.update(anUpstream(names, over)));
    };

    it('endpoints that stay keep their connections and statistics when others come and go', () => {
      start(['a', 'b']);
      fails('a', 13);
      calls(10);
      const kept = endpoint('b');
      answers('c');
      stack.backend('c').answer = (stream) => stream.reply(Buffer.from('c'));
      update(['b', 'a', 'c']);
      assert.equal(endpoint('b'), kept);
      assert.equal(stateOf('a'), EjectionState.ejected);
      assert.deepEqual([stack.backend('a').peers.length, stack.backend('b').peers.length], [1, 1]);
      assert.deepEqual(
        calls(4)
          .map((call) => call.body.toString())
          .sort(),
        ['b', 'b', 'c', 'c'],
      );
    });

    it('an endpoint that is taken away finishes its calls and gets no new ones', () => {
      start(['a', 'b']);
      hangs('a');
      const slow = calls(2).find((call) => !call.isOver)!;
      update(['b']);
      for (const call of calls(4)) assert.equal(call.body.toString(), 'b');
      assert.equal(stack.backend('a').open.length, 1);
      stack.backend('a').last.reply(Buffer.from('late'));
      stack.run();
      assert.deepEqual([slow.status, slow.body.toString()], [0, 'late']);
      assert.equal(stack.backend('a').open.length, 0);
      stack.assertIdle();
    });

    it('faults of an endpoint that has been taken away do not count', () => {
      start(['a', 'b', 'c']);
      hangs('a');
      calls(30);
      assert.equal(endpoint('a').inFlight, 10);
      update(['b', 'c']);
      for (const stream of stack.backend('a').requests) stream.fail(13);
      stack.run();
      const { ejections } = out.cluster;
      assert.deepEqual([ejections.size, ejections.ejected, ejections.eligible], [2, 0, 2]);
    });

    it('a probe of an endpoint that has been taken away does not count', () => {
      start(['a', 'b', 'c']);
      fails('a', 13);
      calls(15);
      stack.advance(30_000);
      hangs('a');
      calls(1);
      assert.equal(stateOf('a'), EjectionState.probing);
      update(['b', 'c']);
      stack.backend('a').last.reply();
      stack.run();
      const { ejections } = out.cluster;
      assert.deepEqual([ejections.size, ejections.ejected, ejections.eligible], [2, 0, 2]);
    });

    it('a call that waits for an endpoint that is taken away goes to another', () => {
      stack = new Stack();
      stack.backend('a').mode = 'silent';
      out = stack.outbound(anUpstream(['a']));
      app = stack.app(out.listener);
      const [call] = calls(1);
      answers('b');
      update(['b']);
      stack.advance(30);
      assert.deepEqual([call!.status, call!.body.toString()], [0, 'b']);
    });

    it('calls are shared by the weights of endpoints, and weight zero gets none', () => {
      start(['a', 'b']);
      const config = anUpstream(['a', 'b']);
      out.outbound.update({
        ...config,
        endpoints: config.endpoints.map((each, i) => ({ ...each, weight: i === 0 ? 3 : 1 })),
      });
      calls(40);
      assert.deepEqual([seen('a'), seen('b')], [30, 10]);
      out.outbound.update({
        ...config,
        endpoints: config.endpoints.map((each, i) => ({ ...each, weight: i })),
      });
      calls(10);
      assert.deepEqual([seen('a'), seen('b')], [30, 20]);
    });

    it('calls are refused with no-endpoint while an upstream has none', () => {
      start(['a']);
      update([]);
      const [none] = calls(1);
      assert.deepEqual([none!.status, none!.reason], [14, 'no-endpoint']);
      update(['a']);
      const [call] = calls(1);
      assert.equal(call!.status, 0);
    });

    it('new routes and detectors apply at once', () => {
      start(['a', 'b']);
      fails('a');
      update(['a', 'b'], { routes: [aSafeRoute()], ejection: { consecutiveFaults: 2 } });
      for (const call of calls(8)) assert.equal(call.status, 0);
      assert.equal(stateOf('a'), EjectionState.ejected);
      update(['a', 'b'], { ejection: { mode: 'observe' } });
      assert.equal(stateOf('a'), EjectionState.admitted);
    });
  });

  it('an endpoint is charged with its own attempt, not with the outcome of the call', () => {
    start(['a', 'b'], { routes: [aSafeRoute()] });
    fails('a');
    for (const call of calls(10)) assert.equal(call.status, 0);
    assert.equal(stateOf('a'), EjectionState.ejected);
    assert.equal(endpoint('b').ejection.consecutiveFaults, 0);
  });

  it('REFUSED_STREAM is no fault of an endpoint, and any other reset is', () => {
    start(['a', 'b']);
    stack.backend('a').answer = (stream) => stream.reset(ErrorCode.internalError);
    calls(10);
    assert.equal(stateOf('a'), EjectionState.ejected);
    assert.match(endpoint('a').lastFault, /reset with code 2/);
  });
});
