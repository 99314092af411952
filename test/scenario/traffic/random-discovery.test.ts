/**
 * A registry that changes its mind all the time, endpoints that come and go, and calls of all kinds meanwhile: whatever
 * happens, every call ends, nothing is held any more in the end, and an endpoint that is known to be healthy serves.
 */
import assert from 'node:assert/strict';
import type { TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import type { ClusterSnapshot } from '../../../sidecar/discovery/snapshot.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { runs } from '../../kit/mocha/effort.js';
import { DiscoveredUpstream, endpoint } from '../../kit/scenario/discovered-upstream.js';
import { aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const CLUSTERS = ['', 'v1', 'v2', 'far'];
const STEPS = 400;

class Whims {
  private readonly random: () => number;
  constructor(
    private readonly mesh: DiscoveredUpstream,
    seed: number,
  ) {
    this.random = seeded(seed);
  }

  chance(p: number): boolean {
    return this.random() < p;
  }
  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }

  /** What the registry says now. */
  tell(): void {
    const clusters: Record<string, ClusterSnapshot> = {};
    const names = CLUSTERS.filter(() => this.chance(0.6));
    for (const name of names.length === 0 ? [''] : names) clusters[name] = this.cluster();
    const routes = Array.from({ length: this.pick([0, 0, 1, 2]) }, () => this.route(clusters));
    const { match: _, ...last } = this.route(clusters);
    this.mesh.apply(clusters, [...routes, last]);
  }

  private cluster(): ClusterSnapshot {
    if (this.chance(0.15)) return { endpoints: undefined };
    const specs = NAMES.filter(() => this.chance(0.5)).map(
      (name) => `${name}${this.chance(0.3) ? `@${this.pick([1, 2])}` : ''}${this.chance(0.2) ? '!' : ''}`,
    );
    return {
      endpoints: specs.map(endpoint),
      ...(this.chance(0.2) ? { hashKey: 'x-key' } : {}),
      ...(this.chance(0.1) ? { maxInFlight: this.pick([1, 5]) } : {}),
      ...(this.chance(0.1) ? { connectTimeoutMs: this.pick([100, 700]) } : {}),
    };
  }

  private route(clusters: Record<string, ClusterSnapshot>): TrafficRoute {
    const names = [...Object.keys(clusters), ...(this.chance(0.05) ? ['gone'] : [])];
    const split = Array.from({ length: this.pick([1, 1, 2]) }, () => ({
      weight: this.pick([1, 9]),
      cluster: this.pick(names),
    }));
    return {
      split,
      match: {
        prefix: '/p.',
        headers: this.chance(0.3) ? [{ name: 'x-key', present: true, invert: this.chance(0.5) }] : [],
      },
      ...(this.chance(0.1) ? { timeoutMs: 200 } : {}),
      ...(this.chance(0.1) ? { retry: { attempts: 2, on: [14] } } : {}),
      ...(this.chance(0.2) ? { rewrite: '/q.' } : {}),
    };
  }

  endpoints(): void {
    const backend = this.mesh.stack.backend(this.pick(NAMES));
    if (this.chance(0.5)) this.mesh.stack.kill(backend.name);
    else backend.mode = this.pick(['accepts', 'accepts', 'refuses', 'silent'] as const);
  }

  call(): void {
    const stream = this.mesh.app.call({
      path: this.pick(['/p.S/M', '/p.S/Stream', '/r.S/M']),
      ...(this.chance(0.7) ? { timeout: this.pick(['50m', '300m', '3S']) } : {}),
      ...(this.chance(0.5) ? { metadata: [['x-key', this.pick(['1', '2', '3'])]] } : {}),
      ...(this.chance(0.1) ? { body: null } : {}),
    });
    this.mesh.streams.push(stream);
  }
}

describe('Scenario: discovery changes at random', () => {
  for (let seed = 1; seed <= runs(1); seed++) {
    it(`by the registry (seed ${seed})`, () => {
      const routes = [
        aStreamRoute({ methods: ['/p.S/Stream'], idleTimeoutMs: 2000 }),
        aSafeRoute({ attemptTimeoutMs: 150, timeoutMs: 5000 }),
      ];
      const over = { routes, balance: { kind: 'least-loaded' }, pool: { connectTimeoutMs: 300 } } as const;
      const mesh = new DiscoveredUpstream(over, seed);
      const whims = new Whims(mesh, seed);
      const answer = (stream: PeerStream): void => {
        const roll = whims.pick([0, 0, 0, 0, 0, 0, 1, 2, 3]);
        if (roll === 0) stream.reply();
        else if (roll === 1) stream.fail(whims.pick([14, 8, 3]));
        else if (roll === 2) stream.reset(whims.pick([2, 7, 8]));
      };
      for (let step = 0; step < STEPS; step++) {
        for (const name of NAMES) mesh.stack.backend(name).answer = answer;
        if (whims.chance(0.15)) whims.tell();
        for (const name of NAMES) mesh.stack.backend(name).answer = answer;
        if (whims.chance(0.1)) whims.endpoints();
        for (let i = whims.pick([0, 1, 3]); i > 0; i--) whims.call();
        const open = mesh.streams.filter(({ isOver }) => !isOver);
        if (open.length > 0 && whims.chance(0.1)) whims.pick(open).reset(8);
        if (whims.chance(0.02)) mesh.out.outbound.state.refreshConnections();
        mesh.stack.advance(whims.pick([0, 1, 10, 100]));
      }
      mesh.stack.advance(20_000);
      for (const stream of mesh.streams) if (!stream.isOver) stream.reset(8);
      mesh.stack.run();
      assert.ok(mesh.streams.some(({ status }) => status === 0));
      mesh.stack.assertIdle();

      for (const name of NAMES) mesh.stack.revive(name);
      mesh.discover(['a', 'b', 'c@1', 'd!']);
      mesh.stack.advance(400_000);
      // Which of the two does not matter: in this world calls take no time, and either may look the better one.
      const served = Object.keys(mesh.calls(40, { path: '/r.S/M' }, 20));
      assert.ok(served.length > 0 && /^[ab]+$/.test(served.join('')), served.join(', '));
      const eligible = mesh.out.cluster.endpoints.filter((each) => each.eligible).map(({ id }) => id);
      assert.deepEqual(eligible, ['a', 'b']);
    });
  }
});
