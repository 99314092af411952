/** Program: opens one model in code and measures it. `node model-process.js NAME ROUND_MS`; prints figures as JSON. */

import { join } from 'node:path';
import { packageRoot } from '../../kit/process/package-root.js';
import { openModel, requestOf } from '../../kit/service/model-context.js';
import type { ModelFigures } from './main.js';
import { SUBJECTS } from './subjects.js';

const BATCHES = [1, 2, 4, 8, 16, 32, 64];
const ROUNDS = 5;
const MB = 1e6;

async function measure(name: string, roundMs: number): Promise<ModelFigures> {
  const subject = SUBJECTS.find((one) => one.name === name);
  if (subject === undefined) throw new Error(`there is no model ${name}`);
  const requests = subject.inputs().map(requestOf);
  const before = process.memoryUsage.rss();
  const start = performance.now();
  const model = await openModel(
    await subject.open(),
    join(packageRoot, '.cache/models', name, name, subject.version ?? '1'),
  );
  const loadMs = performance.now() - start;
  let next = 0;
  const run = async (size: number): Promise<void> => {
    const own = Array.from({ length: size }, () => requests[next++ % requests.length]!);
    for (const answer of await model.code.execute!(own)) if (answer instanceof Error) throw answer;
  };
  const batches: ModelFigures['batches'][number][] = [];
  let modelMb = 0;
  for (const size of BATCHES) {
    await run(size);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round++)
      best = Math.min(best, await roundOf(() => run(size), roundMs));
    batches.push({ size, microsecondsEach: (1000 * best) / size });
    if (size === 1) modelMb = (process.memoryUsage.rss() - before) / MB;
  }
  const batchedMb = (process.memoryUsage.rss() - before) / MB;
  await model.close();
  return { name, loadMs, modelMb, batchedMb, batches };
}

/** The mean CPU time of a run, ms, over runs that take `roundMs` together at the least. */
async function roundOf(run: () => Promise<void>, roundMs: number): Promise<number> {
  const start = process.cpuUsage();
  let runs = 0;
  let took = 0;
  while (took < roundMs) {
    await run();
    runs += 1;
    const { user, system } = process.cpuUsage(start);
    took = (user + system) / 1000;
  }
  return took / runs;
}

const [name = '', roundMs = '200'] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await measure(name, Number(roundMs))));
