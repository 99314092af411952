/** Connections to an endpoint: proved, watched, replaced, waited for. */

import assert from 'node:assert/strict';
import { expireConnections, refreshConnections } from '../../../sidecar/cluster/connections.js';
import { labelOf } from '../../../sidecar/config/codecs/address.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import { Pool } from '../../../sidecar/transport/pool.js';
import { ErrorCode, FrameType, goaway, Setting, settings } from '../../kit/http2/h2-frames.js';
import type { PeerStream, ScriptedPeer } from '../../kit/http2/scripted-peer.js';
import { ENDLESS, PoolStack } from '../../kit/stack/pool-stack.js';
import { addressOf, anUpstream, aRoute, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

describe('The pool', () => {
  let stack: PoolStack;
  beforeEach(() => {
    stack = new PoolStack();
  });

  /** The first request is answered now, and that reaches its caller. */
  const assertEndsLate = (first: PeerStream): void => {
    stack.settle(stack.a.requests[0]!.data(Buffer.from('late')).trailers(0));
    assert.deepEqual([first.status, first.body.toString()], [0, 'late']);
  };
  const gapsOf = (at: readonly number[]): number[] => at.slice(1).map((ms, i) => ms - at[i]!);

  describe('connects', () => {
    it('the pool connects before there is a call', () => {
      stack.open({ pool: { connections: 3 } });
      assert.deepEqual([stack.a.open.length, stack.pool.connectionCount], [3, 3]);
    });

    it('the pool connects again within its `backoffMaxMs`', () => {
      const at: number[] = [];
      const dial = () => {
        at.push(stack.clock.now());
        return stack.net.dial(labelOf(addressOf('a')));
      };
      const { pool: config } = anUpstream(['a'], { pool: { connectTimeoutMs: 5000, pingIntervalMs: 0 } });
      const settings = DEFAULT_LOCAL_SETTINGS;
      stack.a.mode = 'refuses';
      const options = { config, settings, dial, backoffMaxMs: 250, onChange: () => {} };
      const local = new Pool(options, stack.context);
      local.start();
      stack.advance(20_000);
      const gaps = gapsOf(at);
      assert.ok(gaps.length > 50 && Math.max(...gaps) <= 250 * 1.2 + 5, `${gaps}`);
      local.stop();
    });

    it('the pool connects again after a failure, later each time, up to 4 s and a fifth', () => {
      stack.a.mode = 'refuses';
      stack.open();
      const at: number[] = [];
      let dialled = stack.net.dialled;
      for (let i = 0; i < 30_000; i++) {
        stack.advance(1);
        if (stack.net.dialled > dialled) at.push(stack.clock.now());
        dialled = stack.net.dialled;
      }
      const gaps = gapsOf(at);
      assert.ok(gaps[0]! >= 60 && gaps[0]! < 120, `${gaps}`);
      assert.ok(gaps.at(-1)! > 3900 && gaps.at(-1)! < 6100, `${gaps}`);
      assert.equal(stack.context.wheel.size, 2, 'the next connect, and the guard of the caller');
    });

    for (const [how, end] of [
      ['says GOAWAY', (peer: ScriptedPeer) => peer.goaway(0x7fffffff)],
      ['closes', (peer: ScriptedPeer) => peer.socket.break()],
    ] as const)
      it(`a peer that ${how} as soon as it is connected is not connected to without a pause`, () => {
        stack.open();
        const ended = new Set<ScriptedPeer>();
        const endFor = (ms: number): number => {
          for (let i = 0; i < ms; i++) {
            for (const peer of stack.a.peers.filter((each) => !ended.has(each))) {
              ended.add(peer);
              stack.settle(end(peer));
            }
            stack.advance(1);
          }
          return ended.size;
        };
        const first = endFor(10_000);
        assert.ok(first >= 10 && first <= 24, `${first} connections in 10 s`);
        assert.ok(endFor(20_000) - first <= 8);
        assert.notEqual(stack.pool.problem, '');
        stack.answers();
        stack.advance(5_000);
        assert.equal(stack.call().status, 0);
        // It has served: the next one comes at once.
        stack.settle(end(stack.a.peer));
        assert.equal(stack.pool.isConnected, true);
      });

    it('a waiting call brings the next connect forward', () => {
      stack.a.mode = 'refuses';
      stack.open();
      stack.advance(20_000);
      stack.a.mode = 'accepts';
      stack.answers();
      const waiting = stack.call();
      stack.advance(30);
      assert.equal(waiting.status, 0);
    });

    it('the pool opens all its connections once one connect has succeeded again', () => {
      stack.a.mode = 'refuses';
      stack.open({ pool: { connections: 3 } });
      stack.advance(100);
      stack.a.mode = 'accepts';
      stack.advance(10_000);
      assert.equal(stack.a.open.length, 3);
    });

    it('a connect that is not answered fails after the connect timeout', () => {
      stack.a.mode = 'silent';
      stack.open({ pool: { connectTimeoutMs: 700 } });
      const waiting = stack.call();
      stack.advance(690);
      assert.equal(waiting.isOver, false);
      stack.advance(20);
      assert.equal(stack.pool.problem, 'connect timeout');
      stack.advance(800);
      assert.deepEqual([waiting.status, waiting.reason], [14, 'connect-failed']);
    });

    it('a peer that sends no SETTINGS in time counts as a failed connect', () => {
      stack.a.peerOptions = { settings: null };
      stack.open();
      stack.advance(990);
      assert.deepEqual([stack.pool.isConnected, stack.a.open.length], [false, 1]);
      stack.advance(20);
      assert.deepEqual([stack.a.peers[0]!.isClosed, stack.pool.problem], [true, 'connect timeout']);
    });
  });

  describe('watches', () => {
    it('a connection that is silent with a call in flight gets a PING, and stays when it is answered', () => {
      stack.open();
      stack.call();
      stack.advance(9990);
      assert.equal(stack.a.peer.pings, 0);
      stack.advance(20);
      assert.equal(stack.a.peer.pings, 1);
      stack.advance(10_010);
      assert.equal(stack.a.peer.pings, 1, 'the call has ended at its deadline: nothing is under way');
      assert.equal(stack.a.open.length, 1);
    });

    it('a connection gets PINGs as long as the silence lasts', () => {
      stack.open({ routes: [aStreamRoute()] });
      stack.call({ body: null });
      stack.advance(60_000);
      assert.ok(stack.a.peer.pings >= 5 && stack.a.peer.pings <= 6, `${stack.a.peer.pings}`);
      assert.equal(stack.a.open.length, 1);
    });

    it('a peer outside the mesh gets two PINGs in a silence, then one in five minutes: a gRPC server ends connections for more', () => {
      stack.open({ tls: 'plaintext', routes: [ENDLESS] });
      const silent = stack.call({ body: null });
      const pingsIn = (ms: number): number => {
        const before = stack.a.peer.pings;
        stack.advance(ms);
        return stack.a.peer.pings - before;
      };
      assert.deepEqual([pingsIn(25_000), pingsIn(300_000), pingsIn(60_000)], [2, 0, 1]);
      // A sign of the call forgives them.
      stack.settle(stack.a.requests[0]!.begin().data(MESSAGE));
      assert.deepEqual([pingsIn(25_000), pingsIn(300_000)], [2, 0]);
      assert.deepEqual([stack.a.peers.length, silent.isOver], [1, false]);
      stack.a.peer.socket.isCut = true;
      stack.advance(40_000);
      assert.equal(silent.isOver, true, 'the next PING is due by then, and has no answer');
    });

    it('a peer that ends a connection for its PINGs gets fewer on the next', () => {
      stack.open({ routes: [ENDLESS], pool: { pingIntervalMs: 1000, pingTimeoutMs: 500 } });
      stack.call({ body: null });
      stack.advance(20_000);
      assert.ok(stack.a.peer.pings >= 15, `${stack.a.peer.pings}`);
      stack.settle(stack.a.peer.send(goaway(0x7fffffff, ErrorCode.enhanceYourCalm, 'too_many_pings')));
      stack.call({ body: null });
      stack.advance(60_000);
      assert.deepEqual([stack.a.peers.length, stack.a.peer.pings], [2, 2]);
    });

    it('a connection whose peer has lost its state is given up within 16 s', () => {
      stack.open({ routes: [aStreamRoute()] });
      const lost = stack.call({ body: null });
      stack.a.peer.socket.isCut = true;
      stack.advance(15_100);
      assert.deepEqual([lost.status, lost.reason], [14, 'connection-lost']);
      assert.match(lost.trailer('grpc-message')!, /was lost: no answer to a PING$/);
      assert.equal(stack.a.peers.length, 2);
      stack.answers();
      assert.equal(stack.call().status, 0);
    });

    it('a silent connection gets a PING though its only call ended before that was due', () => {
      stack.open();
      stack.advance(5);
      stack.a.peer.socket.isCut = true;
      const lost = stack.call({ metadata: [['grpc-timeout', '1S']] });
      stack.advance(1_010);
      assert.equal(lost.status, 4);
      stack.advance(14_200);
      assert.equal(stack.a.peers.length, 2, 'replaced within 16 s');
      assert.equal(stack.pool.isConnected, true);
    });

    it('a call without an answer in time has the PING sent at once: a dead connection is given up 5 s later', () => {
      stack.open();
      stack.advance(5);
      stack.a.peer.socket.isCut = true;
      const lost = stack.call({ metadata: [['grpc-timeout', '1S']] });
      stack.advance(1_010);
      assert.equal(lost.status, 4);
      stack.advance(4_900);
      assert.equal(stack.a.peers.length, 1);
      stack.advance(200);
      assert.deepEqual([stack.a.peers.length, stack.pool.isConnected], [2, true]);
    });

    it('such a PING ends nothing where the peer answers it, and calls that time out together send one', () => {
      stack.open();
      for (let i = 1; i <= 3; i++) {
        stack.advance(5);
        const metadata: [string, string][] = [['grpc-timeout', '1S']];
        const unanswered = Array.from({ length: 4 }, () => stack.caller.call({ body: null, metadata }));
        stack.advance(1_010);
        assert.deepEqual([unanswered.every(({ status }) => status === 4), stack.a.peer.pings], [true, i]);
      }
      stack.advance(8_000);
      assert.equal(stack.a.peers.length, 1);
    });

    it('no such PING is sent where something has come since the call began', () => {
      stack.open();
      const late = stack.caller.call({ metadata: [['grpc-timeout', '1S']] });
      stack.advance(500);
      stack.answers();
      assert.equal(stack.call().status, 0);
      stack.advance(510);
      assert.deepEqual([late.status, stack.a.peer.pings], [4, 0]);
    });

    it('none to a peer that is no sidecar: a model may not answer it while it computes', () => {
      stack.open({ tls: 'plaintext' });
      stack.advance(5);
      const late = stack.call({ metadata: [['grpc-timeout', '1S']] });
      stack.advance(1_010);
      assert.deepEqual([late.status, stack.a.peer.pings], [4, 0]);
    });

    it('none while the socket is full: what is sent slowly explains the silence', () => {
      stack.open();
      stack.advance(5);
      stack.a.peer.socket.isCut = true;
      const late = stack.call({ body: Buffer.alloc(20_000), metadata: [['grpc-timeout', '1S']] });
      stack.advance(7_000);
      assert.deepEqual([late.status, stack.a.peers.length], [4, 1]);
    });

    it('none while the PINGs are off, and none where this process stood still', () => {
      stack.open({ pool: { pingIntervalMs: 0 } });
      stack.advance(5);
      stack.call({ metadata: [['grpc-timeout', '1S']] });
      stack.advance(1_010);
      assert.equal(stack.a.peer.pings, 0);
      stack.close();
      stack = new PoolStack();
      stack.open();
      stack.advance(5);
      stack.hasStalled = true;
      stack.call({ metadata: [['grpc-timeout', '1S']] });
      stack.advance(1_010);
      assert.equal(stack.a.peer.pings, 0);
    });

    it('a silence that passed while this process stood still ends no connection', () => {
      stack.open({ routes: [aStreamRoute()] });
      const kept = stack.call({ body: null });
      stack.a.peer.socket.isCut = true;
      stack.hasStalled = true;
      stack.advance(15_500);
      assert.equal(kept.isOver, false);
      stack.hasStalled = false;
      stack.advance(10);
      assert.equal(kept.status, 14);
    });

    it('an idle connection has no timer', () => {
      stack.open();
      stack.answers();
      stack.call();
      stack.advance(30_000);
      assert.equal(stack.a.peer.pings, 0);
      assert.equal(stack.context.wheel.size, 1, 'the guard of the caller’s connection alone');
    });
  });

  describe('replaces', () => {
    it('a connection whose peer sends GOAWAY is replaced before the calls on it have ended', () => {
      stack.open();
      const old = stack.call();
      const [first] = stack.a.peers;
      stack.settle(first!.goaway(first!.streams.size * 2 - 1));
      assert.equal(stack.a.open.length, 2);
      const fresh = stack.call();
      assert.equal(stack.a.last.peer, stack.a.peers[1]);
      stack.a.requests[0]!.reply();
      stack.settle(stack.a.requests[1]!.reply());
      assert.deepEqual([old.status, fresh.status], [0, 0]);
      assert.deepEqual([first!.isClosed, stack.a.open.length], [true, 1]);
    });

    it('a GOAWAY opens one new connection, however many calls it leaves out', () => {
      stack.open();
      const made = stack.calls(20);
      stack.answers();
      stack.a.peer.goaway(0);
      stack.advance(300);
      assert.equal(stack.a.peers.length, 2);
      for (const each of made) assert.equal(each.status, 0);
    });

    it('a connection whose peer says GOAWAY twice, as gRPC servers do at the age of a connection, is replaced once', () => {
      stack.open({ routes: [ENDLESS], pool: { connections: 2 } });
      const made = stack.calls(8);
      for (let round = 0; round < 6; round++) {
        const leaving = stack.a.peers.slice(-2);
        for (const lastId of [0x7fffffff, 0x7fffffff, 2 * made.length + 1])
          for (const peer of leaving) stack.settle(peer.goaway(lastId));
        made.push(...stack.calls(8));
        stack.advance(1_100);
      }
      assert.equal(stack.a.peers.length, 2 * 7);
      assert.equal(stack.pool.activeCount, 2);
      for (const request of stack.a.requests) request.reply();
      stack.settle(undefined);
      assert.deepEqual([...new Set(made.map(({ status }) => status))], [0]);
      assert.equal(stack.a.open.length, 2);
    });

    it('a connection that was made for a burst is not replaced when its peer says GOAWAY', () => {
      stack.a.peerOptions = { settings: [[Setting.maxConcurrentStreams, 2]] };
      stack.open({ routes: [ENDLESS] });
      stack.calls(6);
      assert.equal(stack.a.open.length, 3);
      for (const request of stack.a.requests) request.reply();
      stack.settle(undefined);
      for (const peer of [...stack.a.open]) stack.settle(peer.goaway(0x7fffffff));
      assert.deepEqual([stack.a.open.length, stack.pool.activeCount], [1, 1]);
    });

    describe('a connection that gets GOAWAY before the waiting call is written', () => {
      const leaveAtOnce = () => stack.settle(stack.a.peer.send(settings([]), goaway(0x7fffffff)));
      const openMute = (): void => {
        stack.a.peerOptions = { settings: null };
        stack.open();
      };

      it('a call whose connections get GOAWAY before it is written goes on as its first attempt', () => {
        openMute();
        const made = stack.call({ body: Buffer.from('question') });
        for (let i = 0; i < 5; i++) leaveAtOnce();
        assert.equal(stack.a.requests.length, 0);
        stack.answers();
        stack.settle(stack.a.peer.announce([]));
        assert.deepEqual([made.status, stack.a.last.body.toString()], [0, 'question']);
        assert.equal(stack.a.last.header('grpc-previous-rpc-attempts'), undefined);
        assert.equal(stack.out.cluster.endpoints[0]!.attempts, 1);
        stack.assertIdle();
      });

      it('a call whose connections all get GOAWAY before it is written ends', () => {
        openMute();
        const made = stack.call();
        for (let i = 0; i < 40 && !made.isOver; i++) {
          leaveAtOnce();
          stack.advance(30);
        }
        assert.deepEqual([made.status, made.reason], [14, 'connection-lost']);
        assert.match(made.trailer('grpc-message')!, /was lost: the peer said GOAWAY$/);
        assert.equal(stack.a.requests.length, 0);
      });
    });

    it('a connection is replaced at its age, make before break, without failing a call', () => {
      stack.open({ pool: { maxAgeMs: 60_000 }, routes: [ENDLESS] });
      const long = stack.call({ body: null });
      stack.advance(67_000);
      assert.equal(stack.a.peers.length, 2);
      assert.equal(stack.a.open.length, 2, 'the old one has a call yet');
      stack.call({ body: null }).reset();
      stack.run();
      assert.equal(stack.a.last.peer, stack.a.peers[1]);
      stack.settle(stack.a.requests[0]!.begin().trailers(0));
      assert.deepEqual([long.status, stack.a.peers[0]!.isClosed], [0, true]);
    });

    describe('a connection on which the peer resets every call', () => {
      const CALM = ErrorCode.enhanceYourCalm;
      /** How many of `n` calls, one every `everyMs`, were answered. */
      const answered = (n: number, everyMs = 10): number => {
        let good = 0;
        for (let i = 0; i < n; i++) {
          if (stack.call().status === 0) good++;
          stack.advance(everyMs);
        }
        return good;
      };
      const open1 = (routes = [aRoute()]): void =>
        stack.open({ routes, ejection: { consecutiveFaults: 1000 } });

      for (const code of [CALM, ErrorCode.internalError, ErrorCode.refusedStream]) {
        it(`a connection on which every call is reset with code ${code} is replaced`, () => {
          open1();
          stack.a.answer = (stream) =>
            stream.peer === stack.a.peers[0] ? stream.reset(code) : stream.reply();
          const good = answered(100);
          assert.ok(good >= 90, `${good} of 100 calls were answered`);
          assert.deepEqual([stack.a.open.length, stack.context.stats.connectionsReplaced], [1, 1]);
        });
      }

      it('a connection that serves other calls is not replaced for resets', () => {
        open1();
        let n = 0;
        stack.a.answer = (stream) => (++n % 5 === 0 ? stream.reply() : stream.reset(CALM));
        assert.deepEqual([answered(200), stack.a.peers.length], [40, 1]);
      });

      it('a connection whose peer is at its capacity is not replaced', () => {
        open1([aRoute({ timeoutMs: 0 })]);
        stack.a.answer = (stream) => void (stream.id > 1 && stream.reset(ErrorCode.refusedStream));
        const served = stack.call();
        answered(200);
        assert.equal(stack.a.peers.length, 1);
        stack.settle(stack.a.requests[0]!.reply());
        assert.equal(served.status, 0);
      });

      it('a peer that resets calls on every connection gets few new ones', () => {
        open1();
        stack.a.answer = (stream) => stream.reset(CALM);
        assert.equal(answered(2400, 50), 0);
        assert.ok(
          stack.a.peers.length >= 3 && stack.a.peers.length <= 9,
          `${stack.a.peers.length} connections in two minutes`,
        );
        assert.equal(stack.a.open.length, 1);
      });

      it('a connection that is replaced for resets lets its calls end', () => {
        open1([ENDLESS]);
        const long = stack.call({ body: null });
        stack.settle(stack.a.last.begin());
        stack.a.answer = (stream) => (stream.peer === stack.a.peers[0] ? stream.reset(CALM) : stream.reply());
        assert.ok(answered(20) >= 15);
        assertEndsLate(long);
      });
    });

    describe('a connection with many cancelled calls', () => {
      /** What nghttp2 takes at once, and Node's servers with it; our own listeners take five times as many. */
      const BORNE = 1000;
      const cancelled = (calls: number, everyMs: number): void => {
        for (let i = 0; i < calls; i++) {
          stack.call().reset();
          stack.advance(everyMs);
        }
      };
      const resets = (): number[] => stack.a.peers.map((peer) => peer.count(FrameType.rstStream));

      it("a connection is replaced before its cancelled calls reach a server's limit, and other calls do not notice", () => {
        stack.open({ routes: [ENDLESS] });
        const long = stack.call({ body: null });
        stack.a.last.begin();
        cancelled(5000, 0);
        assert.ok(Math.max(...resets()) < BORNE, `${resets()} resets on the connections`);
        assert.ok(stack.a.peers.length <= 11, `${stack.a.peers.length} connections for 5,000 cancels`);
        stack.answers();
        assert.equal(stack.call().status, 0);
        assertEndsLate(long);
        assert.equal(stack.a.open.length, 1, 'what was replaced has gone');
      });

      it('a connection is not replaced for cancels at a rate that every server bears', () => {
        stack.open();
        cancelled(10_000, 50);
        assert.equal(stack.a.peers.length, 1);
      });

      it('a connection is not replaced for calls that end', () => {
        stack.answers();
        stack.open();
        for (let i = 0; i < 3000; i++) stack.call();
        assert.equal(stack.a.peers.length, 1);
      });

      it('a connection with many cancelled calls stays while no other can be made, without a storm of connects', () => {
        stack.open();
        stack.a.mode = 'refuses';
        const before = stack.net.dialled;
        cancelled(3000, 1);
        assert.ok(stack.net.dialled - before < 20, `${stack.net.dialled - before} connects in 3 s`);
        stack.answers();
        assert.equal(stack.call().status, 0);
      });
    });

    it('a connection is replaced only when the new one is alive, and later again when that fails', () => {
      stack.open({ pool: { maxAgeMs: 60_000 } });
      stack.a.mode = 'refuses';
      stack.advance(67_000);
      assert.deepEqual([stack.pool.isConnected, stack.pool.problem], [true, '']);
      stack.answers();
      assert.equal(stack.call().status, 0);
      stack.a.mode = 'accepts';
      stack.advance(6000);
      assert.deepEqual([stack.a.peers.length, stack.a.peers[0]!.isClosed], [2, true]);
    });

    it('a new identity replaces every connection', () => {
      stack.open({ pool: { connections: 2 } });
      const under = stack.call();
      stack.settle(refreshConnections(stack.out.cluster));
      assert.equal(stack.a.peers.length, 4);
      assert.equal(stack.a.open.length, 3, 'one has a call yet');
      stack.settle(stack.a.last.reply());
      assert.deepEqual([under.status, stack.a.open.length], [0, 2]);
    });
  });

  describe('lets go', () => {
    it('connections of an expired identity take no new calls and let theirs end', () => {
      stack.open({ pool: { connections: 2 } });
      const under = stack.call();
      stack.a.mode = 'refuses';
      stack.settle(expireConnections(stack.out.cluster));
      assert.equal(stack.pool.isConnected, false);
      assert.equal(stack.a.open.length, 1, 'one has a call yet');
      stack.settle(stack.a.last.reply());
      assert.deepEqual([under.status, stack.a.open.length], [0, 0]);
      stack.a.mode = 'accepts';
      refreshConnections(stack.out.cluster);
      stack.advance(100);
      assert.equal(stack.pool.connectionCount, 2);
    });

    it('of an identity that comes late, a refused one is made again as soon as after any other failure', () => {
      stack.hasIdentity = false;
      stack.open();
      stack.hasIdentity = true;
      stack.a.mode = 'refuses';
      stack.settle(refreshConnections(stack.out.cluster));
      stack.a.mode = 'accepts';
      stack.advance(200);
      assert.equal(stack.pool.isConnected, true);
    });

    it('of an identity that becomes valid again, as a wrong clock is set, they are made anew without a call', () => {
      stack.open({ pool: { connections: 2 } });
      stack.hasIdentity = false;
      stack.settle(expireConnections(stack.out.cluster));
      stack.advance(60_000);
      assert.equal(stack.pool.isConnected, false);
      stack.hasIdentity = true;
      stack.advance(5_000);
      assert.equal(stack.pool.connectionCount, 2);
    });
  });
});
