import assert from 'node:assert/strict';
import { ENGINE_LOADS, type EngineFigures, reachesGoal, renderEngines, rowOf } from './main.js';
import type { EngineResult } from './protocol.js';

const aRun = (callerUs: number, engineUs: number, problem = ''): EngineResult => ({
  messages: 1_000,
  perSecond: 3_200,
  cpuNs: [callerUs * 1e6, engineUs * 1e6],
  loadCpuNs: 5e6,
  problem,
});

describe('the figures of a token', () => {
  const figures = (...engine: EngineResult[]): EngineFigures => ({
    machine: { cpu: 'a CPU', cores: 2, memoryGb: 4, kernel: '6', node: 'v20' },
    runs: 3,
    rows: [{ ...ENGINE_LOADS[0], ...rowOf([aRun(10, 10), aRun(9, 9), aRun(90, 90)], engine) }],
  });

  it('are the medians of CPU time of both sidecars, divided by the tokens, and their ratio', () => {
    const found = figures(aRun(11, 11), aRun(12, 10), aRun(1, 1));
    const [{ plain, engine, ratio }] = found.rows as [EngineFigures['rows'][number]];
    assert.deepEqual([plain.both.median, engine.both.median, engine.caller.median], [20, 22, 11]);
    assert.ok(Math.abs(ratio - 1.1) < 1e-9);
    assert.equal(reachesGoal(found, true), true);
    assert.match(
      renderEngines(found),
      /engine: vllm +11\.0 \(1\.0–12\.0\) .*\n.*ratio of the medians 1\.100, goal < 1\.15$/,
    );
  });

  it('miss the goal, which a quick run does not ask for', () => {
    const found = figures(aRun(12, 12), aRun(12, 12), aRun(12, 12));
    assert.deepEqual([reachesGoal(found, true), reachesGoal(found, false)], [false, true]);
    assert.match(renderEngines(found), /1\.200, goal < 1\.15: missed/);
  });

  it('are none where an answer was not whole', () => {
    const found = figures(aRun(10, 10), aRun(10, 10, 'an answer had 3 of 4 tokens'), aRun(10, 10));
    assert.equal(reachesGoal(found, false), false);
    assert.match(renderEngines(found), /INVALID: engine: an answer had 3 of 4 tokens/);
  });
});
