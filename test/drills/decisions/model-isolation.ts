/** Models of one service beside a model that is broken, and one that is slow: `outrider up` with our own model server. */

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import { admin, DIGITS_MODELS, Mesh } from '../../kit/process/outrider.js';
import { failure, TestClient } from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';
import { Load, summarize } from '../faults/load.js';
import type { DecisionRow } from './drill.js';
import { DecisionMesh } from './mesh.js';

const SERVICE = 'mine';
/** Turns of the slow model's loop: a second or two. */
const TURNS = 1_000_000;
/** Beside a run of seconds, in the same service; behind it, in one process, it was 3,355 ms. */
const MOST_P99_MS = 250;

const tensor = (name: string, datatype: 'FP32' | 'INT64', shape: number[]) => ({ name, datatype, shape });

const DIGITS = {
  model_name: 'digits',
  inputs: [tensor('pixels', 'FP32', [1, 784])],
  raw_input_contents: [Buffer.alloc(784 * 4)],
};

function slowRequest() {
  const turns = Buffer.alloc(8);
  turns.writeBigInt64LE(BigInt(TURNS));
  return { model_name: 'slow', inputs: [tensor('n', 'INT64', [])], raw_input_contents: [turns] };
}

/** Calls to the broken one, one after the other, and how many got its reason. */
async function askBroken(target: string, forMs: number): Promise<{ asked: number; refused: number }> {
  const client = new TestClient(target);
  const untilMs = performance.now() + forMs;
  const counts = { asked: 0, refused: 0 };
  while (performance.now() < untilMs) {
    counts.asked++;
    const { details } = await failure(client.infer({ model_name: 'broken', inputs: [] }));
    const reason = client.trailers?.get('outrider-reason')[0];
    if (reason === 'model-not-ready' && /sha256/.test(details)) counts.refused++;
    await delay(50);
  }
  client.close();
  return counts;
}

const badNeighbour: DecisionRow = {
  name: 'bad-neighbour',
  fault: 'of three models of a service one is broken and one is slow',
  run: async (_, trial) => {
    const models = DecisionMesh.scratch();
    cpSync(DIGITS_MODELS, models, { recursive: true });
    cpSync(join(DIGITS_MODELS, 'digits'), join(models, 'broken'), { recursive: true });
    writeFileSync(join(models, 'broken/1/model.onnx'), 'not a model');
    putLoopModel(models, 'slow');
    const mesh = Mesh.start(`
services: { ${SERVICE}: { models: ${models} } }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { ${SERVICE}: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: ${SERVICE}, action: allow }]
`);
    const loads: Load[] = [];
    try {
      const facts = await mesh.ready();
      const target = facts.call[SERVICE]!;
      const replica = facts.sidecars.find(({ role }) => role === 'replica')!;
      const load = await Load.start({ target, perSecond: 100, deadlineMs: 1_000, request: () => DIGITS });
      loads.push(load);
      await trial.unharmed(load, async () => {
        const aloneMs = performance.now();
        await delay(trial.pick(1_000, 5_000));
        const alone = summarize(await load.between(aloneMs, performance.now()));
        const slow = await Load.start({ target, perSecond: 0.5, deadlineMs: 30_000, request: slowRequest });
        loads.push(slow);
        const fromMs = performance.now();
        const broken = await askBroken(target, trial.pick(4_000, 20_000));
        const beside = summarize(await load.between(fromMs, performance.now()));
        const runs = summarize(await slow.between(0, performance.now()));
        trial.figure('p99 alone', `${alone.p99Ms.toFixed(1)} ms`);
        trial.figure('p99 beside them', `${beside.p99Ms.toFixed(1)} ms`);
        trial.expect(
          `p99 beside them is at most ${MOST_P99_MS} ms`,
          beside.p99Ms <= MOST_P99_MS,
          `${beside.p99Ms.toFixed(1)} ms of ${beside.sent} calls`,
        );
        trial.expect(
          'the slow one is served too',
          runs.ok > 0 && runs.failed === 0,
          `${runs.ok} of ${runs.sent}`,
        );
        trial.expect(
          'the broken one is refused each time, with its reason',
          broken.refused > 10 && broken.refused === broken.asked,
          `${broken.refused} of ${broken.asked}`,
        );
        const report = JSON.parse((await admin(replica.admin, '/endpoints')).body) as StatusReport;
        const restarts = report.models!.map(({ name, restarts: n }) => `${name} ${n}`).join(', ');
        trial.expect(
          'no process is started again',
          report.models!.every((each) => each.restarts === 0),
          restarts,
        );
      });
    } finally {
      for (const load of loads) await load.stop().catch(() => {});
      await mesh.discard();
    }
  },
};

export const ISOLATION_ROWS: readonly DecisionRow[] = [badNeighbour];
