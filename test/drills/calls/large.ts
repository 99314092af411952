/** Requests of half a megabyte and answers of 300 KB, more than any sidecar holds: what is wrong in them is found all the same. */

import type { ModelInferRequest } from '../../../proto/messages.js';
import { type DecisionRow, type Drill, drillRow } from '../decisions/drill.js';
import { summarize } from '../faults/load.js';
import { judgeNumbers } from '../faults/number-answers.js';
import { measure } from '../faults/times.js';

const REQUEST_BYTES = 588_000;
const ANSWER_BYTES = 300_000;
/**
 * Of calls per second. A replica of three gets sixteen of them, at random times. In a short run about eight bad answers outweigh the good
 * ones on record; at half this rate chance kept them from coming within two seconds now and then.
 */
const RATE = 48;

const INSPECTED = {
  ejection: { detectors: { invalid_output: { mode: 'enforce' } } },
};
const REQUEST: ModelInferRequest = {
  model_name: 'fixed',
  inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', String(REQUEST_BYTES / 4)] }],
  raw_input_contents: [new Uint8Array(REQUEST_BYTES)],
};
const SHAPE = {
  plan: { serviceMs: 5, answerBytes: ANSWER_BYTES, upstream: INSPECTED },
  load: {
    perSecond: RATE,
    deadlineMs: 10_000,
    request: () => REQUEST,
    judge: judgeNumbers(Buffer.alloc(ANSWER_BYTES)),
  },
} as const;

const inspected = ({ mesh }: Drill, result: string): Promise<number> =>
  mesh.caller.metric('outrider_outputs_inspected_total', { result });

const oneOfThree = drillRow({
  name: 'large-nan',
  fault: 'one replica of three answers OK with NaN: requests of 588 KB, answers of 300 KB',
  ...SHAPE,
  work: async (drill) => {
    const { trial, mesh, load } = drill;
    // So that good answers of the replica are on record.
    await load.during(performance.now(), trial.pick(2_000, 30_000));
    const fromMs = performance.now();
    await mesh.models[0]!.behave({ does: 'nan' });
    const found = () => mesh.caller.metric('outrider_ejections_total', { detector: 'invalid-output' });
    const ejected = await measure(async () => (await found()) > 0, 8_000, fromMs);
    trial.within('it is ejected', 2_000, ejected);
    const calls = await load.during(fromMs, trial.pick(2_500, 10_000));
    const { failures, sent } = summarize(calls);
    const bad = failures.find(({ what }) => what === 'NaN')?.count ?? 0;
    trial.figure('answers NaN', `${bad} of ${sent}`);
    const others = failures.filter(({ what }) => what !== 'NaN').map(({ what, count }) => `${count} ${what}`);
    trial.expect('no call fails, and no answer is altered', others.length === 0, others.join(', ') || 'none');
    trial.expect('the others stay', (await mesh.ejections()) === 1, `${await mesh.ejections()} ejections`);
    trial.figure('charged', String(await inspected(drill, 'charged')));
  },
});

const allOfThree = drillRow({
  name: 'large-nan-everywhere',
  fault:
    'all replicas answer OK with the same NaN, as the input asks for it: requests of 588 KB, answers of 300 KB',
  ...SHAPE,
  work: async (drill) => {
    const { trial, mesh, load } = drill;
    const fromMs = performance.now();
    await mesh.behave({ does: 'nan' });
    const calls = await load.during(fromMs, trial.pick(3_000, 10_000));
    trial.none('nothing is ejected', await mesh.ejections(), 'times');
    trial.none('nothing is charged', await inspected(drill, 'charged'), 'times');
    const acquitted = await inspected(drill, 'acquitted');
    trial.expect('they were looked at', acquitted >= 10, `${acquitted} acquitted`);
    const altered = summarize(calls).failures.filter(({ what }) => what !== 'NaN');
    trial.expect(
      'no call fails, and no answer is altered',
      altered.length === 0,
      `${altered[0]?.what ?? 'none'}`,
    );
  },
});

export const LARGE_ROWS: readonly DecisionRow[] = [oneOfThree, allOfThree];
