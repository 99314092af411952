/** A sidecar whose heap fills up. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Scratch } from '../../kit/process/outrider.js';
import { ROOT } from '../../kit/process/tools.js';
import { measure } from '../faults/times.js';
import { type DecisionRow, drill } from './drill.js';
import { sinceNow } from './mesh.js';

/** The sidecar runs from dist/, and what it loads too. */
const BALLAST = pathToFileURL(join(ROOT, 'dist', 'test', 'drills', 'decisions', 'heap-filler.js')).href;
const HEAP = '--max-old-space-size=96';

const memory: DecisionRow = {
  name: 'memory',
  fault: 'the heap of the sidecar of one replica of three fills up: 80 %, 95 %, and again',
  run: (_, trial) => {
    const file = join(new Scratch().path, 'ballast');
    const env = { NODE_OPTIONS: `${HEAP} --import=${BALLAST}`, OUTRIDER_DRILL_BALLAST: file };
    return drill(trial, { env }, async ({ mesh, load }) => {
      const [{ sidecar, model }] = mesh.replicas as [(typeof mesh.replicas)[number]];
      const entered = () => sidecar.metric('outrider_memory_pressure_total', { level: 'critical' });
      const used = () => sidecar.metric('outrider_memory_used_ratio');
      const fill = async (share: number): Promise<number> => {
        writeFileSync(file, String(share));
        await measure(async () => (await used()) >= share - 0.02, 3_000);
        return performance.now();
      };
      for (const round of trial.pick([1], [1, 2])) {
        const critical = await sinceNow(entered);
        const easyMs = await fill(0.8);
        trial.expectAvailable(await load.during(easyMs, trial.pick(1_000, 4_000)), 100);
        const runs = model.runs(easyMs).length;
        trial.expect(`at 80 % it goes on working (${round})`, runs > 20, `${runs} runs`);
        const fullMs = await fill(0.95);
        const calls = await load.during(fullMs, trial.pick(2_000, 5_000));
        trial.expectAvailable(calls, 99.9);
        const left = model.runs(fullMs + 500, fullMs + 1_500).length;
        trial.none('at 95 % it refuses what is new, and others serve it', left, 'runs');
        const hits = await critical();
        trial.expect('and says so', hits > 0, `${hits} times`);
        writeFileSync(file, '0');
        const freeMs = performance.now();
        trial.within('it serves again when there is room', 5_000, await model.untilRuns(freeMs, 15_000));
      }
      const { isRunning } = sidecar;
      trial.expect('it never runs out of memory', isRunning, isRunning ? 'it lives' : 'it died');
    });
  },
};

export const MEMORY_ROWS: readonly DecisionRow[] = [memory];
