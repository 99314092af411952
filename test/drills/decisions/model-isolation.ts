/** Models of one service beside a model that is broken, and one that is slow: `outrider up` with our own model server. */

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonIn } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { DIGITS_MODELS, reportOf, Scratch } from '../../kit/process/outrider.js';
import { failure, TestClient } from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';
import { Load, summarize } from '../faults/load.js';
import type { DecisionRow } from './drill.js';
import { counting, upDrill } from './up-drill.js';

const SERVICE = 'mine';
/** Turns of the slow model's loop: a second or two. */
const TURNS = 1_000_000;
/** Beside a run of seconds, in the same service; behind it, in one process, it was 3,355 ms. */
const MOST_P99_MS = 250;

const DIGITS = {
  model_name: 'digits',
  inputs: [{ name: 'pixels', datatype: 'FP32' as const, shape: [1, 784] }],
  raw_input_contents: [Buffer.alloc(784 * 4)],
};

/** Calls to the broken one, one after the other, and how many got its reason. */
async function askBroken(target: string, forMs: number): Promise<{ asked: number; refused: number }> {
  const client = new TestClient(target);
  const untilMs = performance.now() + forMs;
  const counts = { asked: 0, refused: 0 };
  while (performance.now() < untilMs) {
    counts.asked++;
    const { details } = await failure(client.infer({ model_name: 'broken', inputs: [] }));
    const reason = reasonIn(client.trailers);
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
    const models = new Scratch().path;
    cpSync(DIGITS_MODELS, models, { recursive: true });
    cpSync(join(DIGITS_MODELS, 'digits'), join(models, 'broken'), { recursive: true });
    writeFileSync(join(models, 'broken/1/model.onnx'), 'not a model');
    putLoopModel(models, 'slow');
    const file = `
services: { ${SERVICE}: { models: ${models} } }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { ${SERVICE}: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: ${SERVICE}, action: allow }]
`;
    const usual = { file, service: SERVICE, perSecond: 100, deadlineMs: 1_000, request: () => DIGITS };
    const calls = await upDrill(trial, usual, async ({ up, load, target }) => {
      const aloneMs = performance.now();
      await delay(trial.pick(1_000, 5_000));
      const alone = summarize(await load.between(aloneMs));
      const request = () => counting(TURNS, 'slow');
      const slow = await Load.start({ target, perSecond: 0.5, deadlineMs: 30_000, request });
      const fromMs = performance.now();
      const broken = await askBroken(target, trial.pick(4_000, 20_000));
      const beside = summarize(await load.between(fromMs));
      const runs = summarize(await slow.between(0));
      await slow.stop();
      trial.figure('p99 alone', `${alone.p99Ms.toFixed(1)} ms`);
      const p99 = `${beside.p99Ms.toFixed(1)} ms`;
      trial.figure('p99 beside them', p99);
      const isQuick = beside.p99Ms <= MOST_P99_MS;
      trial.expect(`p99 beside them is at most ${MOST_P99_MS} ms`, isQuick, `${p99} of ${beside.sent} calls`);
      const isServed = runs.ok > 0 && runs.failed === 0;
      trial.expect('the slow one is served too', isServed, `${runs.ok} of ${runs.sent}`);
      const isRefused = broken.refused > 10 && broken.refused === broken.asked;
      const refused = `${broken.refused} of ${broken.asked}`;
      trial.expect('the broken one is refused each time, with its reason', isRefused, refused);
      const replica = up.sidecars.find(({ role }) => role === 'replica')!;
      const { models: reports = [] } = await reportOf(replica.admin);
      const restarts = reports.map((each) => `${each.name} ${each.restarts}`).join(', ');
      const isOne = reports.length > 0 && reports.every((each) => each.restarts === 0);
      trial.expect('no process is started again', isOne, restarts);
    });
    trial.noneFailed('no call fails', calls);
  },
};

export const ISOLATION_ROWS: readonly DecisionRow[] = [badNeighbour];
