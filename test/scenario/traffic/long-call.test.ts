/** One call that takes long, and is meant to: it takes one place of its replica, and not the replica. */
import assert from 'node:assert/strict';
import { DETECTORS } from '../../kit/scenario/detector-pool.js';
import { Mesh, type MeshOptions } from '../../kit/scenario/mesh-in-memory.js';
import { takes, WorkingModel } from '../../kit/scenario/working-model.js';
import { aSafeRoute } from '../../kit/stack/stack.js';

const LONG_MS = 6_000;
const SHORT_MS = 20;
const EVERY_MS = 33;
const LOAD_REPORTS = { intervalMs: 1_000, forward: false };

describe('Scenario: one call takes six seconds among calls of 20 ms', () => {
  let mesh: Mesh;
  let models: readonly WorkingModel[];

  function start(replicas: number, concurrency: number, slots: number, over: MeshOptions = {}): void {
    const routes = [aSafeRoute()];
    mesh = new Mesh({ replicas, routes, queue: { concurrency }, loadReports: LOAD_REPORTS, ...over });
    models = mesh.replicas.map((each) => new WorkingModel(each, mesh.stack.clock, SHORT_MS, slots));
    mesh.load(3_000, EVERY_MS);
  }
  const attempts = (): number[] => mesh.replicas.map((_, i) => mesh.endpoint(i).attempts);
  /** The long call; returned is its replica. */
  const callLong = (): number => {
    const before = attempts();
    mesh.call({ body: takes(LONG_MS) });
    mesh.advance(1);
    return attempts().findIndex((n, i) => n > before[i]!);
  };
  /** Calls for so long; returned is the part that this replica got. */
  const shareOf = (at: number, forMs: number): number => {
    const before = attempts();
    mesh.load(forMs, EVERY_MS);
    const got = attempts().map((n, i) => n - before[i]!);
    return got[at]! / got.reduce((sum, n) => sum + n, 0);
  };
  /** The longest wait for a run at any model, ms, the long call aside. */
  const longestWait = (): number =>
    Math.max(...models.flatMap(({ runs }) => runs.map(({ cameMs, beganMs }) => beganMs - cameMs)));
  /** Calls that took longer than this. */
  const slowerThan = (ms: number, from = 0): number =>
    mesh.sent.slice(from).filter(({ startMs, endMs }) => endMs - startMs > ms && endMs - startMs < LONG_MS)
      .length;

  for (const concurrency of [2, 8])
    it(`its replica keeps its share of the others, with ${concurrency} calls at once`, () => {
      start(3, concurrency, concurrency);
      const long = callLong();
      shareOf(long, 1_200);
      const during = shareOf(long, 4_000);
      assert.ok(during > 0.2 && during < 0.5, `while it runs: ${during}`);
      mesh.advance(1_000);
      const after = shareOf(long, 4_000);
      assert.ok(after > 0.2 && after < 0.5, `after its end: ${after}`);
      assert.equal(slowerThan(3 * SHORT_MS), 0);
      assert.deepEqual(mesh.failures(), {});
    });

  it('a replica that runs one call at a time gets no others meanwhile, and its share at once after it', () => {
    start(3, 1, 1);
    const long = callLong();
    shareOf(long, 2_000);
    const during = shareOf(long, 3_900);
    assert.equal(during, 0, `while it runs: ${during}`);
    mesh.advance(1_000);
    const after = shareOf(long, 3_000);
    assert.ok(after > 0.2 && after < 0.5, `after its end: ${after}`);
    assert.ok(longestWait() <= 3 * SHORT_MS, `${longestWait()}`);
    assert.equal(slowerThan(4 * SHORT_MS), 0);
  });

  it('of two such replicas, calls line up at none while the other is idle', () => {
    start(2, 1, 1);
    callLong();
    mesh.load(5_900, EVERY_MS);
    mesh.advance(1_000);
    const from = mesh.sent.length;
    // Twice what one of them can do.
    mesh.load(4_000, SHORT_MS / 1.8);
    mesh.advance(1_000);
    assert.equal(slowerThan(4 * SHORT_MS, from), 0);
    assert.deepEqual(mesh.failures(), {});
  });

  it('what a replica that is full refuses goes to one that has room, whatever is left of the budget', () => {
    const over: MeshOptions = {
      balance: 'round-robin',
      queue: { concurrency: 1, maxWaiting: 2 },
      ejection: { detectors: DETECTORS },
    };
    start(2, 1, 1, over);
    callLong();
    mesh.load(5_900, EVERY_MS, {});
    mesh.advance(1_000);
    assert.deepEqual(mesh.failures(), {});
  });

  it('several of them one after the other leave no replica without calls', () => {
    start(3, 2, 2);
    for (let i = 0; i < 4; i += 1) {
      callLong();
      mesh.load(LONG_MS + 500, EVERY_MS);
      for (const at of [0, 1, 2]) {
        const share = shareOf(at, 100 * EVERY_MS);
        assert.ok(share > 0.1, `${at}: ${share}`);
      }
    }
  });
});
