/**
 * A real vLLM (for the CPU, with a model that was never trained) beside the fake engine that stands for it in all other tests, and under
 * faults in the middle of answers. It is installed the first time, and each engine takes up to two minutes to start.
 */
import assert from 'node:assert/strict';
import { FAULTS, type Fault } from '../drills/engines/engine-processes.js';
import { EngineDrill, newRow } from '../drills/engines/rounds.js';
import { tableOf } from '../drills/engines/table.js';
import { type AnswerForm, formsOf } from '../kit/engines/engine-forms.js';
import { Mesh } from '../kit/process/outrider.js';
import { toolOrSkip } from '../kit/process/tools.js';

/** Of the front, and of the core; each takes as long as an engine takes to start. */
const KILLS = Number(process.env['OUTRIDER_ENGINE_KILLS'] ?? 20);
const STOPS = Math.ceil(KILLS / 10);
const TIMES: Readonly<Record<Fault, number>> = {
  'front-killed': KILLS,
  'core-killed': KILLS,
  'front-stopped': STOPS,
  'core-frozen': STOPS,
};
const START_LIMIT_MS = 600_000;
const STRIKE_LIMIT_MS = 300_000;

describe('vLLM', function () {
  this.timeout(START_LIMIT_MS);
  let drill: EngineDrill | undefined;

  before(async function () {
    const home = await toolOrSkip(this, 'vllm');
    this.timeout(START_LIMIT_MS);
    drill = await EngineDrill.start((file) => Mesh.start(file), 'vllm', home);
  });
  after(async () => {
    await drill?.close();
  });

  it('answers as the fake engine does', async () => {
    const fake = await EngineDrill.start((file) => Mesh.start(file), 'fake');
    let forms: Record<string, AnswerForm>;
    try {
      forms = await formsOf(fake.target);
    } finally {
      await fake.close();
    }
    assert.deepEqual(await formsOf(drill!.target), forms);
  });

  it('makes the same tokens each time, while nothing fails', async () => {
    const row = await drill!.undisturbed();
    assert.deepEqual([row.lost, row.wrong, [...row.problems]], [0, 0, []]);
  });

  for (const fault of FAULTS)
    it(`${fault} ${TIMES[fault]} times: every client gets every token once`, async function () {
      this.timeout(TIMES[fault] * STRIKE_LIMIT_MS);
      const row = newRow(fault);
      for (let i = 0; i < TIMES[fault]; i++) await drill!.strike(fault, row);
      process.stderr.write(tableOf([row]));
      assert.deepEqual([row.lost, row.wrong, [...row.problems]], [0, 0, []]);
      assert.ok(row.resumed >= row.strikes, `${row.resumed} answers went on elsewhere`);
    });

  it('an abort reaches the engine that has the request', async () => {
    const row = await drill!.abort();
    assert.deepEqual([row.lost, row.wrong, [...row.problems]], [0, 0, []]);
  });

  it('is idle again once its clients have gone', async () => {
    const row = await drill!.cancel();
    assert.deepEqual([row.lost, row.wrong, [...row.problems]], [0, 0, []]);
  });
});
