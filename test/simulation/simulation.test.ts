/** The simulator in the suite: fixed seeds and the cases of the corpus, and whether a run is the same each time. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../kit/process/package-root.js';
import { editsOf } from './mutants/mutant.js';
import { PLANTED } from './mutants/planted.js';
import { REGRESSIONS } from './mutants/regressions.js';
import { drawPlan } from './plan/draw.js';
import type { Plan } from './plan/plan.js';
import { run } from './run.js';
import { PRESENT } from './world/release.js';

/** Of few calls, which many features and faults meet; in the last one work is counted. A stranger's run must not fail by chance: these stay, and fresh ones run at
 * night. */
const SEEDS = [3, 33, 44, 760];
const CORPUS = join(packageRoot, 'test/simulation/corpus');

interface Case {
  /** What it was when it was found. */
  readonly what: string;
  readonly plan: Plan;
}

describe('Simulation', () => {
  it('gives the same trace for the same seed, in a process of its own and after other runs', async () => {
    const program = join(packageRoot, 'dist/test/simulation/main.js');
    const said = execFileSync(process.execPath, [program, '--seed', '14', '--hash'], { encoding: 'utf8' });
    const alone = /^seed 14: trace (\w+-\w+), \d+ turns$/m.exec(said)?.[1];
    assert.ok(alone !== undefined, said);
    await run(drawPlan(SEEDS[0]!));
    assert.equal((await run(drawPlan(14))).traceHash, alone);
  }).timeout(60_000);

  it('runs processes of two versions in one mesh', async () => {
    const releases = [PRESENT, { ...PRESENT, name: 'another' }];
    const { findings, trace } = await run(drawPlan(14), { trace: true, releases });
    assert.deepEqual(findings, []);
    const begun = trace.flatMap((line) => /begins {"release":"([^"]+)"}/.exec(line)?.[1] ?? []);
    assert.deepEqual([...new Set(begun)].sort(), ['another', 'this version']);
  }).timeout(60_000);

  it('has defects to plant whose places are still there, each once', () => {
    const gone = [...REGRESSIONS, ...PLANTED].flatMap((mutant) =>
      editsOf(mutant)
        .filter(({ file, find }) => readFileSync(join(packageRoot, file), 'utf8').split(find).length !== 2)
        .map(({ file, find }) => `${mutant.name}: ${file}: ${find}`),
    );
    assert.deepEqual(gone, []);
  });

  for (const seed of SEEDS)
    it(`keeps every invariant from seed ${seed}`, async () => {
      const { findings } = await run(drawPlan(seed));
      assert.deepEqual(findings, []);
    }).timeout(60_000);

  for (const file of readdirSync(CORPUS).filter((name) => name.endsWith('.json'))) {
    const { what, plan } = JSON.parse(readFileSync(join(CORPUS, file), 'utf8')) as Case;
    it(`keeps every invariant where once ${what}`, async () => {
      const { findings } = await run(plan);
      assert.deepEqual(findings, []);
    }).timeout(60_000);
  }
});
