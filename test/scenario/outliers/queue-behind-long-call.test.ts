/** What waits in the queue of a replica says nothing of how fast it runs: the latency detector goes by the runs. */
import assert from 'node:assert/strict';
import { EFFORT } from '../../kit/mocha/effort.js';
import { DETECTORS } from '../../kit/scenario/detector-pool.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { takes, WorkingModel } from '../../kit/scenario/working-model.js';
import { aSafeRoute } from '../../kit/stack/stack.js';

const RUN_MS = 40;
const EVERY_MS = 1_000 / 26;
const LONG_MS = 3_000;

describe('Scenario: two replicas run one call of 40 ms at a time, and one of 3 s each ten seconds', () => {
  for (const concurrency of EFFORT > 1 ? [1, 2, 4, 8] : [1, 8])
    it(`with ${concurrency} calls at the model none is ejected for what waits behind it`, () => {
      const mesh = new Mesh({
        ...{ replicas: 2, balance: 'round-robin', queue: { concurrency }, routes: [aSafeRoute()] },
        ejection: { detectors: DETECTORS },
        loadReports: { intervalMs: 1_000, forward: false },
      });
      const { clock } = mesh.stack;
      for (const each of mesh.replicas) new WorkingModel(each, clock, RUN_MS, 1);
      for (let round = 0; round < 6; round += 1) {
        mesh.call({ body: takes(LONG_MS) });
        mesh.load(10_000, EVERY_MS, { timeout: '30S' });
      }
      mesh.advance(5_000);
      const ejections = mesh.replicas.map((_, i) => mesh.endpoint(i).ejection);
      assert.deepEqual(
        ejections.map(({ ejections: n, why }) => (n === 0 ? '' : why)),
        ['', ''],
      );
    });
});
