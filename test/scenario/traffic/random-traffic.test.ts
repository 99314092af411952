/**
 * Anything at any time, by chance from a fixed seed: calls of every shape, cancels, resets, GOAWAY, broken and frozen
 * connections, new endpoint sets, new routes, models that come and go, stalls. Whatever happens, every call ends once,
 * counts agree, and nothing is left when all is over.
 */

import assert from 'node:assert/strict';
import { refreshConnections } from '../../../sidecar/cluster/connections.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { Flag, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  type Backend,
  Stack,
} from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const NAMES = ['a', 'b', 'c', 'd'];
const ROUTES = [
  aSafeRoute({ methods: ['/p.S/Safe'], attemptTimeoutMs: 200, timeoutMs: 2000 }),
  aRoute({ methods: ['/p.S/Once'], timeoutMs: 1000 }),
  aStreamRoute({ methods: ['/p.S/Stream'], timeoutMs: 5000, idleTimeoutMs: 700 }),
  aSafeRoute({
    timeoutMs: 3000,
    retry: { attempts: 3, on: [14, 13], backoff: { baseMs: 50, maxMs: 200 } },
  }),
];
const PATHS = ['/p.S/Safe', '/p.S/Once', '/p.S/Stream', '/p.S/Other', '/none'];

class Chaos {
  readonly random: () => number;
  readonly calls: PeerStream[] = [];
  constructor(
    readonly stack: Stack,
    seed: number,
  ) {
    this.random = seeded(seed);
  }
  below(n: number): number {
    return Math.floor(this.random() * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  chance(p: number): boolean {
    return this.random() < p;
  }

  call(app: Application): void {
    const isOpen = this.chance(0.3);
    const size = this.pick([0, 1, 100, 5000, 70_000, 300_000, 1_200_000]);
    const stream = app.call({
      path: this.pick(PATHS),
      body: isOpen ? null : Buffer.alloc(size),
      ...(this.chance(0.5) ? { timeout: this.pick(['1n', '50m', '300m', '2S', '1H']) } : {}),
    });
    if (isOpen && size > 0) stream.data(Buffer.alloc(size));
    this.calls.push(stream);
  }

  /** Something a caller does with a call it has. */
  touch(stream: PeerStream | undefined): void {
    if (stream === undefined || stream.isOver || stream.peer.isClosed) return;
    const what = this.below(4);
    if (what === 0) stream.reset();
    else if (what === 1) stream.data(Buffer.alloc(this.below(2000)));
    else if (what === 2) stream.end();
  }

  /** Something an endpoint does with a request. */
  respond(stream: PeerStream): void {
    if (stream.resetCode !== undefined || stream.peer.isClosed) return;
    const size = this.pick([0, 10, 1000, 66_000, 400_000]);
    switch (this.below(12)) {
      case 0:
        return void stream.reset(this.pick([0, 2, 7, 8, 11]));
      case 1:
        return void stream.fail(this.pick([0, 3, 8, 13, 14]));
      case 2:
        return void stream
          .begin()
          .data(Buffer.alloc(size))
          .trailers(this.pick([0, 13, 14]));
      case 3:
        return void stream.headers([[':status', this.pick(['404', '503'])]], Flag.endStream);
      case 4:
        return void stream.begin().data(Buffer.alloc(size), Flag.endStream);
      case 5:
        return void stream.begin().data(Buffer.alloc(size));
      case 6:
        return void this.stack.clock.after(this.below(1500), () => {
          if (!stream.peer.isClosed && stream.resetCode === undefined) stream.reply(Buffer.alloc(size));
        });
      default:
        return void stream.reply(Buffer.alloc(size));
    }
  }

  trouble(backend: Backend): void {
    const peer = this.pick(backend.peers);
    if (peer === undefined || peer.isClosed) return;
    switch (this.below(7)) {
      case 0:
        return peer.socket.break();
      case 1:
        return void peer.socket.end();
      case 2:
        return peer.goaway(this.below(40) * 2 + 1);
      case 3:
        peer.socket.isCut = true;
        return;
      case 4:
        return peer.announce([[Setting.maxConcurrentStreams, this.pick([0, 1, 5, 1000])]]);
      case 5:
        backend.mode = this.pick(['accepts', 'refuses', 'silent']);
        return;
      default:
        peer.socket.heal();
    }
  }
}

describe('Scenario: calls and faults at random', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`in a caller’s sidecar (seed ${seed})`, () => {
      const stack = new Stack({ seed, memoryBytes: 4_000_000 });
      const chaos = new Chaos(stack, seed);
      const pool = { connections: 2, maxAgeMs: 5000, pingIntervalMs: 800, pingTimeoutMs: 300 };
      const config = (names: readonly string[]) =>
        anUpstream(names, {
          routes: ROUTES,
          pool,
          ejection: { consecutiveFaults: 3, baseMs: 700 },
          balance: { kind: chaos.chance(0.5) ? 'least-loaded' : 'round-robin' },
        });
      for (const name of NAMES) stack.backend(name).answer = (stream) => chaos.respond(stream);
      const out = stack.outbound(config(NAMES.slice(0, 3)));
      const apps = Array.from({ length: 3 }, () => stack.app(out.listener));
      for (let i = 0; i < 600; i++) {
        const app = chaos.pick(apps);
        if (app.isClosed) apps[apps.indexOf(app)] = stack.app(out.listener);
        else chaos.call(app);
        if (chaos.chance(0.4)) chaos.touch(chaos.pick(chaos.calls));
        if (chaos.chance(0.15)) chaos.trouble(stack.backend(chaos.pick(NAMES)));
        if (chaos.chance(0.02)) app.socket.break();
        if (chaos.chance(0.03)) out.outbound.update(config(NAMES.filter(() => chaos.chance(0.7))));
        if (chaos.chance(0.02)) refreshConnections(out.cluster);
        if (chaos.chance(0.05)) stack.hasStalled = !stack.hasStalled;
        if (chaos.chance(0.7)) stack.turn();
        if (chaos.chance(0.3)) stack.advance(chaos.below(120));
      }
      for (const name of NAMES) {
        const backend = stack.backend(name);
        backend.mode = 'accepts';
        backend.answer = (stream) => stream.reply();
        for (const peer of backend.peers) peer.socket.heal();
      }
      stack.hasStalled = false;
      out.outbound.update(config(NAMES));
      for (const call of chaos.calls) if (!call.isOver && !call.peer.isClosed) call.reset();
      stack.advance(30_000);
      stack.assertIdle();
      const { ejections, endpoints } = out.cluster;
      const states = endpoints.map(({ ejection }) => ejection);
      assert.equal(ejections.size, NAMES.length);
      assert.equal(ejections.ejected, states.filter(({ state }) => state !== EjectionState.admitted).length);
      const eligible = states.filter(({ state, isAvailable }) => state === 0 && isAvailable);
      assert.equal(ejections.eligible, eligible.length);
      for (const endpoint of endpoints) assert.equal(endpoint.pool.isConnected, true, endpoint.label);
      const last = stack.app(out.listener);
      const calls = Array.from({ length: 20 }, () => last.call({ path: '/p.S/Safe' }));
      stack.advance(300);
      for (const call of calls) assert.equal(call.status, 0);
      stack.close();
    }).timeout(10_000);

    it(`in a caller’s sidecar that sends copies, falls back and has bounds (seed ${seed})`, () => {
      const stack = new Stack({ seed, memoryBytes: 4_000_000 });
      const chaos = new Chaos(stack, seed + 200);
      const spare = ['e', 'f'];
      const pool = { connections: 2, maxAgeMs: 5000, pingIntervalMs: 800, pingTimeoutMs: 300 };
      const hedge = { percentile: 0.6, minDelayMs: 1, maxRatio: 0.5 };
      const lastGood = { kind: 'last-good', maxAgeMs: 3000, maxBytes: 200_000 } as const;
      const toSpare = { kind: 'upstream', upstream: 'spare' } as const;
      const config = (names: readonly string[]) =>
        anUpstream(names, {
          routes: [
            aSafeRoute({
              methods: ['/p.S/Safe', '/p.S/Other'],
              attemptTimeoutMs: 200,
              timeoutMs: 2000,
              ...(chaos.chance(0.8) ? { hedge } : {}),
              ...(chaos.chance(0.8)
                ? { fallback: chaos.chance(0.5) ? [toSpare, lastGood] : [lastGood, toSpare] }
                : {}),
            }),
            aRoute({ methods: ['/p.S/Once'], timeoutMs: 1000, fallback: [toSpare] }),
            aStreamRoute({ methods: ['/p.S/Stream'], maxTimeoutMs: 4000, idleTimeoutMs: 700 }),
            aRoute(),
          ],
          pool,
          ejection: { consecutiveFaults: 3, baseMs: 700 },
          budget: { ratio: 0.5, perSecond: 20 },
          ...(chaos.chance(0.7)
            ? { breaker: { maxConnections: 0, maxPending: 5, maxInFlight: 25, maxRetries: 3 } }
            : {}),
        });
      const spareConfig = (names: readonly string[]) =>
        anUpstream(names, {
          name: 'spare',
          pool,
          routes: [aSafeRoute({ timeoutMs: 500 })],
          breaker: { maxConnections: 3, maxPending: 2, maxInFlight: 10, maxRetries: 1 },
        });
      for (const name of [...NAMES, ...spare])
        stack.backend(name).answer = (stream) =>
          chaos.chance(0.6)
            ? void stack.clock.after(chaos.below(60), () => {
                if (!stream.peer.isClosed && stream.resetCode === undefined) stream.reply();
              })
            : chaos.respond(stream);
      const other = stack.outbound(spareConfig(spare));
      const out = stack.outbound(config(NAMES.slice(0, 3)));
      const apps = Array.from({ length: 3 }, () => stack.app(out.listener));
      for (let i = 0; i < 900; i++) {
        const app = chaos.pick(apps);
        if (app.isClosed) apps[apps.indexOf(app)] = stack.app(out.listener);
        else chaos.call(app);
        if (chaos.chance(0.3)) chaos.touch(chaos.pick(chaos.calls));
        if (chaos.chance(0.1)) chaos.trouble(stack.backend(chaos.pick([...NAMES, ...spare])));
        if (chaos.chance(0.02)) app.socket.break();
        if (chaos.chance(0.02)) out.outbound.update(config(NAMES.filter(() => chaos.chance(0.7))));
        if (chaos.chance(0.02)) other.outbound.update(spareConfig(spare.filter(() => chaos.chance(0.7))));
        if (chaos.chance(0.02)) refreshConnections(out.cluster);
        if (chaos.chance(0.05)) stack.hasStalled = !stack.hasStalled;
        if (chaos.chance(0.7)) stack.turn();
        if (chaos.chance(0.5)) stack.advance(chaos.below(80));
      }
      const cares = [...out.outbound.methodStates.all];
      assert.ok(cares.some((care) => care.hedge.sent > 0 && care.hedge.won > 0));
      assert.ok(cares.some((care) => care.degraded.size > 0));
      for (const name of [...NAMES, ...spare]) {
        const backend = stack.backend(name);
        backend.mode = 'accepts';
        backend.answer = (stream) => stream.reply();
        for (const peer of backend.peers) peer.socket.heal();
      }
      stack.hasStalled = false;
      out.outbound.update(config(NAMES));
      other.outbound.update(spareConfig(spare));
      for (const call of chaos.calls) if (!call.isOver && !call.peer.isClosed) call.reset();
      stack.advance(40_000);
      stack.assertIdle();
      const last = stack.app(out.listener);
      for (let i = 0; i < 20; i++) {
        const call = last.call({ path: chaos.pick(['/p.S/Safe', '/p.S/Once', '/p.S/Other']) });
        stack.advance(20);
        assert.equal(call.status, 0);
        // The first call of a method may be the probe that brings the others back.
        assert.equal(call.header('outrider-degraded'), undefined);
      }
      stack.close();
    }).timeout(20_000);

    it(`in a model’s sidecar (seed ${seed})`, () => {
      const stack = new Stack({ seed, memoryBytes: 4_000_000 });
      const chaos = new Chaos(stack, seed + 100);
      const queue = { concurrency: 3, maxWaiting: 6, maxWaitingBytes: 1_000_000 };
      const config = () =>
        anInbound({
          routes: ROUTES,
          queue: { ...queue, concurrency: 1 + chaos.below(4) },
          intentions: chaos.chance(0.8) ? [{ from: '*', to: 'digits', action: 'allow' }] : [],
        });
      const side = stack.inbound(config());
      side.model.answer = (stream) => chaos.respond(stream);
      const apps = Array.from({ length: 3 }, () => stack.app(side.listener, 'app'));
      for (let i = 0; i < 600; i++) {
        const app = chaos.pick(apps);
        if (app.isClosed) apps[apps.indexOf(app)] = stack.app(side.listener, 'app');
        else chaos.call(app);
        if (chaos.chance(0.4)) chaos.touch(chaos.pick(chaos.calls));
        if (chaos.chance(0.05)) chaos.trouble(side.model);
        if (chaos.chance(0.02)) app.socket.break();
        if (chaos.chance(0.03)) {
          const next = config();
          side.inbound.update(next, side.intentions(next.intentions), side.listener.sessions);
        }
        if (chaos.chance(0.02)) side.backend.setState({ kind: 'away', why: 'chaos' });
        if (chaos.chance(0.1)) side.backend.setState({ kind: 'ready' });
        if (chaos.chance(0.7)) stack.turn();
        if (chaos.chance(0.3)) stack.advance(chaos.below(120));
      }
      side.model.mode = 'accepts';
      side.model.answer = (stream) => stream.reply();
      for (const peer of side.model.peers) peer.socket.break();
      const open = anInbound({ routes: ROUTES, queue });
      side.inbound.update(open, side.intentions(open.intentions), side.listener.sessions);
      side.backend.setState({ kind: 'ready' });
      for (const call of chaos.calls) if (!call.isOver && !call.peer.isClosed) call.reset();
      stack.advance(30_000);
      stack.assertIdle();
      const last = stack.app(side.listener, 'app');
      // As many as run at once: one more would wait, and may rightly be refused by how long runs took so far.
      const calls = Array.from({ length: queue.concurrency }, () => last.call({ path: '/p.S/Safe' }));
      stack.advance(300);
      for (const call of calls) assert.equal(call.status, 0);
      stack.close();
    }).timeout(10_000);
  }
});
