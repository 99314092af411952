/**
 * One of three replicas runs on hardware four times slower. Where the others can carry the load it is ejected; where they cannot, it
 * keeps calls, and fewer than they have.
 */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { DETECTORS } from '../../kit/scenario/detector-pool.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { WorkingModel } from '../../kit/scenario/working-model.js';
import { aSafeRoute } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const RUN_MS = 40;
/** Calls at once at each replica; what a fast one can do in a second, and the slow one. */
const PLACES = 4;
const FAST = (PLACES * 1_000) / RUN_MS;
const SLOW = FAST / 4;

describe('Scenario: a replica on hardware four times slower', () => {
  let mesh: Mesh;
  let random: () => number;

  function run(balance: 'round-robin' | 'least-loaded', perSecond: number, forMs: number): void {
    random = seeded(7);
    mesh = new Mesh({
      ...{ replicas: 3, balance, queue: { concurrency: PLACES }, routes: [aSafeRoute()] },
      ejection: { detectors: DETECTORS },
      loadReports: { intervalMs: 1_000, forward: false },
    });
    const models = mesh.replicas.map((each) => new WorkingModel(each, mesh.stack.clock, RUN_MS, PLACES));
    models[0]!.slowBy = 4;
    load(perSecond, forMs);
  }
  /** Calls at random times: evenly spaced ones find the same number before them each time. */
  function load(perSecond: number, forMs: number): void {
    const untilMs = mesh.stack.clock.now() + forMs;
    while (mesh.stack.clock.now() < untilMs) {
      mesh.call();
      mesh.advance(-Math.log(1 - random()) * (1_000 / perSecond));
    }
  }
  const ejections = (): number[] => mesh.replicas.map((_, i) => mesh.endpoint(i).ejection.ejections);
  const waiting = (): number => mesh.out.cluster.inFlight;

  it('is ejected where the others have room for its calls', () => {
    run('round-robin', 0.6 * SLOW * 3, 12_000);
    assert.deepEqual(ejections(), [1, 0, 0]);
    mesh.advance(2_000);
  });

  for (const balance of ['round-robin', 'least-loaded'] as const)
    it(`keeps a smaller share where they have not (${balance})`, () => {
      const offered = 0.85 * (2 * FAST + SLOW);
      run(balance, offered, 12_000);
      const before = mesh.replicas.map((_, i) => mesh.endpoint(i).attempts);
      const early = waiting();
      load(offered, 12_000);
      const got = mesh.replicas.map((_, i) => (mesh.endpoint(i).attempts - before[i]!) / 12);
      assert.deepEqual(ejections(), [0, 0, 0], `${got}`);
      assert.ok(got[0]! > 0.2 * SLOW && got[0]! < 0.5 * got[1]!, `${got} calls per second`);
      assert.ok(waiting() < early + 10, `${waiting()} in flight, and ${early} before`);
      mesh.advance(5_000);
    });

  for (const seed of EFFORT > 1 ? [4, 6] : [4])
    it(`keeps it as well where all were idle before (seed ${seed})`, () => {
      run('round-robin', 0, 0);
      mesh.advance(2_500);
      random = seeded(seed);
      load(0.85 * (2 * FAST + SLOW), 15_000);
      assert.deepEqual(ejections(), [0, 0, 0]);
      mesh.advance(5_000);
    });

  it('is ejected no more once the others turn out to have no room without it', () => {
    run('round-robin', 0.6 * SLOW * 3, 12_000);
    assert.equal(mesh.endpoint(0).ejection.state, EjectionState.ejected);
    const much = 1.05 * 2 * FAST;
    load(much, 20_000);
    assert.equal(mesh.endpoint(0).ejection.state, EjectionState.admitted);
    load(0.6 * SLOW * 3, 10_000);
    assert.deepEqual(ejections(), [1, 0, 0]);
    mesh.advance(5_000);
  });
});
