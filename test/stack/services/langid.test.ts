import assert from 'node:assert/strict';
import { join } from 'node:path';
import { open } from '../../../services/langid/model.js';
import { SAMPLES } from '../../../services/langid/samples.js';
import { requireModels } from '../../kit/service/made-models.js';
import { type OpenedModel, openModel, requestOf, textTensor } from '../../kit/service/model-context.js';

/** Measured: see CARD.md. */
const PROMISED = 0.88;
/** 50 languages, and none. */
const CLASSES = 51;

describe('the model langid', () => {
  let model: OpenedModel;

  before(async function () {
    model = await openModel(open, join(requireModels(this, 'langid'), 'langid/1'));
  });
  after(() => model?.close());

  it(`tells the language of ${100 * PROMISED} % of the samples`, async function () {
    const { language } = await model.ask({ text: textTensor(...SAMPLES.map(([, text]) => text)) });
    const wrong = SAMPLES.filter(([expected], i) => language!.data[i] !== expected);
    const right = 1 - wrong.length / SAMPLES.length;
    const told = `${(100 * right).toFixed(1)} % of ${SAMPLES.length}, wrong: ${wrong.map(([expected]) => expected).join(' ')}`;
    this.test!.title += ` (${told})`;
    assert.ok(right >= PROMISED, told);
  });

  it('answers a row in a batch of several requests as it does alone', async () => {
    const texts = SAMPLES.slice(0, 9).map(([, text]) => text);
    const requests = [texts.slice(0, 4), texts.slice(4, 5), texts.slice(5)].map((own) =>
      requestOf({ text: textTensor(...own) }),
    );
    const answers = await model.code.execute!(requests);
    const together = answers.flatMap((answer) => {
      if (answer instanceof Error) throw answer;
      return [...(answer.outputs['probabilities']!.data as Float32Array)];
    });
    for (const [i, text] of texts.entries()) {
      const { probabilities } = await model.ask({ text: textTensor(text) });
      [...(probabilities!.data as Float32Array)].forEach((p, l) => {
        assert.ok(Math.abs(p - together[i * CLASSES + l]!) < 1e-6);
      });
    }
  });

  it('gives probabilities that sum to 1, all of it to no language for a text without a letter', async () => {
    const { language, probabilities } = await model.ask({ text: textTensor('Good morning', '12 + 30', '') });
    assert.deepEqual((language!.data as string[]).slice(1), ['und', 'und']);
    const sum = (row: number): number =>
      (probabilities!.data as Float32Array)
        .subarray(row * CLASSES, (row + 1) * CLASSES)
        .reduce((a, b) => a + b, 0);
    for (const row of [0, 1, 2]) assert.ok(Math.abs(sum(row) - 1) < 1e-5);
    assert.deepEqual(
      [1, 2].map((row) => probabilities!.data[row * CLASSES + CLASSES - 1]),
      [1, 1],
    );
  });

  it('answers a request of no texts with no rows', async () => {
    const { language, probabilities } = await model.ask({ text: textTensor() });
    assert.deepEqual([language!.dims, probabilities!.dims], [[0], [0, CLASSES]]);
  });
});
