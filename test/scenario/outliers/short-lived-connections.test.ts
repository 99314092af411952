/**
 * Connections to one of three endpoints are cut, one after the other, each with a call on it. Few of many calls are lost so, and no share
 * of failures shows it: the endpoint is ejected for its connections. None is ejected for connections that end as they may.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import type { UpstreamOptions } from '../../kit/stack/stack.js';

/** Calls that a connection carries before it is cut: one failure in fifty is far from what a share of failures shows. */
const CALLS = 50;
const LOST_AT_MODEL = [['outrider-reason', 'connection-lost']] as const;

describe('Scenario: short-lived connections', () => {
  let pool: DetectorPool;
  const open = (names: readonly string[] = ['a', 'b', 'c'], over: UpstreamOptions = {}): void => {
    pool = new DetectorPool(names, over);
  };
  afterEach(() => pool.close());

  /** These endpoints answer, but for the last call of each `CALLS` of a connection, with which they do this. */
  const lastCall = (does: (stream: PeerStream) => void, ...names: readonly string[]): void => {
    for (const name of names) {
      const seen = new Map<object, number>();
      pool.answers((stream) => {
        const count = (seen.get(stream.peer) ?? 0) + 1;
        seen.set(stream.peer, count);
        if (count % CALLS === 0) does(stream);
        else stream.reply(Buffer.from(name));
      }, name);
    }
  };
  const cut = (stream: PeerStream): void => void pool.clock.after(1, () => stream.peer.socket.break());
  const lostOf = (counts: Readonly<Record<string, number>>): number => counts[Status.UNAVAILABLE] ?? 0;
  const assertNoneEjected = (): void => {
    assert.deepEqual(
      pool.states,
      pool.names.map(() => 'eligible'),
    );
    for (const name of pool.names) assert.equal(pool.endpoint(name).ejection.ejections, 0, name);
  };

  it('an endpoint whose connections are cut is ejected for that, after two of them', () => {
    open();
    lastCall(cut, 'a');
    const counts = pool.load(2_000);
    assert.deepEqual(pool.states, ['ejected', 'eligible', 'eligible']);
    assert.match(pool.report('a').why ?? '', /^2 connections in a row were cut within a minute/);
    assert.equal(lostOf(counts), 2, JSON.stringify(counts));
  });

  it('is found as well where its sidecar loses connections to the model', () => {
    open();
    lastCall((stream) => void stream.fail(Status.UNAVAILABLE, LOST_AT_MODEL), 'a');
    const counts = pool.load(2_000);
    assert.deepEqual(pool.states, ['ejected', 'eligible', 'eligible']);
    assert.equal(lostOf(counts), 3, JSON.stringify(counts));
  });

  it('no endpoint is ejected whose connections end by GOAWAY', () => {
    open();
    lastCall((stream) => {
      stream.reply(Buffer.from('a'));
      stream.peer.goaway(stream.id);
      pool.clock.after(1, () => stream.peer.socket.break());
    }, 'a');
    assert.equal(lostOf(pool.load(2_000)), 0);
    assertNoneEjected();
    assert.ok(pool.backend('a').peers.length > 5);
  });

  it('none is that closes a connection without calls, however often', () => {
    open();
    for (let i = 0; i < 100; i++) {
      assert.equal(lostOf(pool.load(9)), 0);
      for (const peer of pool.backend('a').open) pool.settle(peer.socket.break());
      pool.advance(200);
    }
    assertNoneEjected();
  });

  it('none is whose callers have left when a connection is cut', () => {
    open();
    lastCall((stream) => {
      pool.settle(pool.caller.streams.get(Math.max(...pool.caller.streams.keys()))!.reset());
      cut(stream);
    }, 'a');
    pool.load(2_000);
    assertNoneEjected();
  });

  it('none is where the connections to all of them are cut', () => {
    open();
    lastCall(cut, 'a', 'b', 'c');
    assert.ok(lostOf(pool.load(3_000)) > 20);
    assertNoneEjected();
  });

  it('none is that is killed once, with calls on several connections', () => {
    open(['a', 'b', 'c'], { pool: { connections: 3 } });
    for (const name of pool.names) {
      pool.answers(() => {}, name);
      // Fewer than the faults in a row that eject.
      pool.load(4);
      for (const peer of pool.backend(name).open) pool.settle(peer.socket.break());
      pool.works(name);
      pool.load(300);
    }
    assertNoneEjected();
  });

  it('none is whose connections are cut once in a minute', () => {
    open();
    for (let i = 0; i < 6; i++) {
      pool.answers(() => {}, 'a');
      pool.load(6);
      for (const peer of pool.backend('a').open) pool.settle(peer.socket.break());
      pool.works('a');
      pool.load(700, 100);
    }
    assertNoneEjected();
  });

  it('the only endpoint is not, and goes on with the calls', () => {
    open(['a']);
    lastCall(cut, 'a');
    const counts = pool.load(1_000);
    assertNoneEjected();
    assert.ok(counts['a']! > 970, JSON.stringify(counts));
  });
});
