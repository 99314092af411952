/**
 * Anything at any time, by chance from a fixed seed: calls of every shape, cancels, resets, GOAWAY, broken and frozen
 * connections, new endpoint sets, new routes, models that come and go, stalls. Whatever happens, every call ends once,
 * counts agree, and nothing is left when all is over.
 */

import assert from 'node:assert/strict';
import { refreshConnections } from '../../../sidecar/cluster/connections.js';
import type { InboundConfig } from '../../../sidecar/config/model.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { Flag, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { EFFORT, runs } from '../../kit/mocha/effort.js';
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
const POOL = { connections: 2, maxAgeMs: 5000, pingIntervalMs: 800, pingTimeoutMs: 300 };
const PATHS = ['/p.S/Safe', '/p.S/Once', '/p.S/Stream', '/p.S/Other', '/none'];

/** Calls of one storm; the simulator has longer ones (test/simulation). */
const STEPS = EFFORT > 1 ? 900 : 300;

/** What may happen after each call, and how probable it is. */
type Odds = readonly (readonly [number, (app: Application) => unknown])[];

class Chaos extends Stack {
  private readonly calls: PeerStream[] = [];
  constructor(
    seed: number,
    private readonly random = seeded(seed),
  ) {
    super({ seed, memoryBytes: 4_000_000 });
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
  touch(): void {
    const stream = this.pick(this.calls);
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
    const later = (): void => {
      if (!stream.peer.isClosed && stream.resetCode === undefined) stream.reply(Buffer.alloc(size));
    };
    const ways = [
      () => stream.reset(this.pick([0, 2, 7, 8, 11])),
      () => stream.fail(this.pick([0, 3, 8, 13, 14])),
      () =>
        stream
          .begin()
          .data(Buffer.alloc(size))
          .trailers(this.pick([0, 13, 14])),
      () => stream.headers([[':status', this.pick(['404', '503'])]], Flag.endStream),
      () => stream.begin().data(Buffer.alloc(size), Flag.endStream),
      () => stream.begin().data(Buffer.alloc(size)),
      () => this.clock.after(this.below(1500), later),
    ];
    (ways[this.below(12)] ?? (() => stream.reply(Buffer.alloc(size))))();
  }

  trouble(backend: Backend): void {
    const peer = this.pick(backend.peers);
    if (peer === undefined || peer.isClosed) return;
    const ways = [
      () => peer.socket.break(),
      () => peer.socket.end(),
      () => peer.goaway(this.below(40) * 2 + 1),
      () => {
        peer.socket.isCut = true;
      },
      () => peer.announce([[Setting.maxConcurrentStreams, this.pick([0, 1, 5, 1000])]]),
      () => {
        backend.mode = this.pick(['accepts', 'refuses', 'silent']);
      },
      () => peer.socket.heal(),
    ];
    this.pick(ways)();
  }

  stall(): void {
    this.hasStalled = !this.hasStalled;
  }

  /** So many calls of three applications, and by chance something else after each. */
  storm(steps: number, open: () => Application, odds: Odds): void {
    const apps = Array.from({ length: 3 }, open);
    for (let i = 0; i < steps; i++) {
      const app = this.pick(apps);
      if (app.isClosed) apps[apps.indexOf(app)] = open();
      else this.call(app);
      for (const [chance, act] of odds) if (this.chance(chance)) act(app);
    }
  }

  /** All endpoints are well again, no call is left, and nothing is held any more. */
  calm(backends: readonly Backend[], restMs: number, reload: () => void): void {
    for (const backend of backends) {
      backend.mode = 'accepts';
      backend.answer = (stream) => stream.reply();
      for (const peer of backend.peers) peer.socket.heal();
    }
    this.hasStalled = false;
    reload();
    for (const call of this.calls) if (!call.isOver && !call.peer.isClosed) call.reset();
    this.advance(restMs);
    this.assertIdle();
  }

  serves(app: Application, count: number): void {
    const calls = Array.from({ length: count }, () => app.call({ path: '/p.S/Safe' }));
    this.advance(300);
    for (const call of calls) assert.equal(call.status, 0);
  }
}

describe('Scenario: calls and faults at random', () => {
  /** Of all seeds, as by chance one may have none that wins. */
  const hedges = { sent: 0, won: 0 };
  for (let seed = 1; seed <= runs(1); seed++) {
    it(`in a caller’s sidecar (seed ${seed})`, () => {
      const chaos = new Chaos(seed);
      const config = (names: readonly string[]) =>
        anUpstream(names, {
          routes: ROUTES,
          pool: POOL,
          ejection: { consecutiveFaults: 3, baseMs: 700 },
          balance: { kind: chaos.chance(0.5) ? 'least-loaded' : 'round-robin' },
        });
      for (const name of NAMES) chaos.backend(name).answer = (stream) => chaos.respond(stream);
      const out = chaos.outbound(config(NAMES.slice(0, 3)));
      const open = () => chaos.app(out.listener);
      chaos.storm(STEPS, open, [
        [0.4, () => chaos.touch()],
        [0.15, () => chaos.trouble(chaos.backend(chaos.pick(NAMES)))],
        [0.02, (app) => app.socket.break()],
        [0.03, () => out.outbound.state.update(config(NAMES.filter(() => chaos.chance(0.7))))],
        [0.02, () => refreshConnections(out.cluster)],
        [0.05, () => chaos.stall()],
        [0.7, () => chaos.turn()],
        [0.3, () => chaos.advance(chaos.below(120))],
      ]);
      const backends = NAMES.map((name) => chaos.backend(name));
      chaos.calm(backends, 30_000, () => out.outbound.state.update(config(NAMES)));
      const { ejections, endpoints } = out.cluster;
      const states = endpoints.map(({ ejection }) => ejection);
      assert.equal(ejections.members.size, NAMES.length);
      assert.equal(
        ejections.members.ejected,
        states.filter(({ state }) => state !== EjectionState.admitted).length,
      );
      const eligible = states.filter(({ state, isAvailable }) => state === 0 && isAvailable);
      assert.equal(ejections.members.eligible, eligible.length);
      for (const endpoint of endpoints) assert.equal(endpoint.pool.isConnected, true, endpoint.label);
      chaos.serves(open(), 20);
    }).timeout(60_000);

    it(`in a caller’s sidecar that sends copies, falls back and has bounds (seed ${seed})`, () => {
      const chaos = new Chaos(seed, seeded(seed + 200));
      const spare = ['e', 'f'];
      const all = [...NAMES, ...spare];
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
          pool: POOL,
          ejection: { consecutiveFaults: 3, baseMs: 700 },
          budget: { ratio: 0.5, perSecond: 20 },
          ...(chaos.chance(0.7)
            ? { breaker: { maxConnections: 0, maxPending: 5, maxInFlight: 25, maxRetries: 3 } }
            : {}),
        });
      const spareConfig = (names: readonly string[]) =>
        anUpstream(names, {
          name: 'spare',
          pool: POOL,
          routes: [aSafeRoute({ timeoutMs: 500 })],
          breaker: { maxConnections: 3, maxPending: 2, maxInFlight: 10, maxRetries: 1 },
        });
      const late = (stream: PeerStream): void => {
        if (!stream.peer.isClosed && stream.resetCode === undefined) stream.reply();
      };
      for (const name of all)
        chaos.backend(name).answer = (stream) =>
          chaos.chance(0.6)
            ? void chaos.clock.after(chaos.below(60), () => late(stream))
            : chaos.respond(stream);
      const other = chaos.outbound(spareConfig(spare));
      const out = chaos.outbound(config(NAMES.slice(0, 3)));
      const open = () => chaos.app(out.listener);
      // What is usual has to be known before a copy is sent, and in the storm few calls of a method end well.
      const first = open();
      for (let i = 0; i < 60; i++) {
        first.call({ path: '/p.S/Safe' });
        chaos.advance(chaos.below(80));
      }
      chaos.storm(STEPS, open, [
        [0.3, () => chaos.touch()],
        [0.1, () => chaos.trouble(chaos.backend(chaos.pick(all)))],
        [0.02, (app) => app.socket.break()],
        [0.02, () => out.outbound.state.update(config(NAMES.filter(() => chaos.chance(0.7))))],
        [0.02, () => other.outbound.state.update(spareConfig(spare.filter(() => chaos.chance(0.7))))],
        [0.02, () => refreshConnections(out.cluster)],
        [0.05, () => chaos.stall()],
        [0.7, () => chaos.turn()],
        [0.5, () => chaos.advance(chaos.below(80))],
      ]);
      const cares = [...out.outbound.state.methodStates.all];
      for (const { hedgePolicy } of cares) {
        hedges.sent += hedgePolicy.sent;
        hedges.won += hedgePolicy.won;
      }
      assert.ok(cares.some((care) => care.degraded.size > 0));
      const backends = all.map((name) => chaos.backend(name));
      chaos.calm(backends, 40_000, () => {
        out.outbound.state.update(config(NAMES));
        other.outbound.state.update(spareConfig(spare));
      });
      const last = open();
      for (let i = 0; i < 20; i++) {
        const call = last.call({ path: chaos.pick(['/p.S/Safe', '/p.S/Once', '/p.S/Other']) });
        chaos.advance(20);
        assert.equal(call.status, 0);
        // The first call of a method may be the probe that brings the others back.
        assert.equal(call.header('outrider-degraded'), undefined);
      }
    }).timeout(20_000);

    it(`in a model’s sidecar (seed ${seed})`, () => {
      const chaos = new Chaos(seed, seeded(seed + 100));
      const queue = { concurrency: 3, maxWaiting: 6, maxWaitingBytes: 1_000_000 };
      const config = () =>
        anInbound({
          routes: ROUTES,
          queue: { ...queue, concurrency: 1 + chaos.below(4) },
          intentions: chaos.chance(0.8) ? [{ from: '*', to: 'digits', action: 'allow' }] : [],
        });
      const side = chaos.inbound(config());
      const reload = (next: InboundConfig): void =>
        side.inbound.state.update(next, side.intentions(next.intentions), side.listener.sessions);
      side.model.answer = (stream) => chaos.respond(stream);
      const open = () => chaos.app(side.listener, 'app');
      chaos.storm(STEPS, open, [
        [0.4, () => chaos.touch()],
        [0.05, () => chaos.trouble(side.model)],
        [0.02, (app) => app.socket.break()],
        [0.03, () => reload(config())],
        [0.02, () => side.instance.setState({ kind: 'away', why: 'chaos' })],
        [0.1, () => side.instance.setState({ kind: 'ready' })],
        [0.7, () => chaos.turn()],
        [0.3, () => chaos.advance(chaos.below(120))],
      ]);
      for (const peer of side.model.peers) peer.socket.break();
      chaos.calm([side.model], 30_000, () => {
        reload(anInbound({ routes: ROUTES, queue }));
        side.instance.setState({ kind: 'ready' });
      });
      // As many as run at once: one more would wait, and may rightly be refused by how long runs took so far.
      chaos.serves(open(), queue.concurrency);
    }).timeout(60_000);
  }

  it('some of the copies that were sent won', () => {
    assert.ok(hedges.won > 0 && hedges.won < hedges.sent);
  });
});
