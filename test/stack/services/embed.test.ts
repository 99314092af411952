import assert from 'node:assert/strict';
import { join } from 'node:path';
import { open } from '../../../services/embed/model.js';
import { PARAPHRASES } from '../../../services/embed/samples.js';
import type { ModelAnswer } from '../../../services/model-server/code/model-code.js';
import { requireModels } from '../../kit/service/made-models.js';
import { type OpenedModel, openModel, requestOf, textTensor } from '../../kit/service/model-context.js';

const SIZE = 384;
/** Of all sentences: in so many of 20 the paraphrase is the nearest. */
const PROMISED = 19 / 20;
const NEAR = 1e-4;

type Vector = Float32Array;

describe('the model embed', () => {
  let model: OpenedModel;

  before(async function () {
    model = await openModel(open, join(requireModels(this, 'embed'), 'embed/1'));
  });
  after(() => model?.close());

  const answersTo = async (...requests: (readonly string[])[]): Promise<ModelAnswer[]> => {
    const answers = await model.code.execute!(requests.map((own) => requestOf({ text: textTensor(...own) })));
    return answers.map((answer) => {
      if (answer instanceof Error) throw answer;
      return answer;
    });
  };
  const vectorsOf = (answer: ModelAnswer): Vector[] => {
    const { dims, data } = answer.outputs['embedding']!;
    assert.equal(dims[1], SIZE);
    const from = (row: number): Vector => (data as Float32Array).subarray(row * SIZE, (row + 1) * SIZE);
    return Array.from({ length: dims[0]! }, (_, row) => from(row));
  };
  const embed = async (...texts: string[]): Promise<Vector[]> => vectorsOf((await answersTo(texts))[0]!);

  it('finds the paraphrase of a sentence first, among all other sentences, for 19 of 20', async function () {
    const texts = PARAPHRASES.flat();
    const vectors = await embed(...texts);
    const missed = texts.filter((_, i) => {
      const likeness = vectors.map((other, j) => (i === j ? -1 : dot(vectors[i]!, other)));
      return likeness.indexOf(Math.max(...likeness)) !== (i ^ 1);
    });
    const told = `${texts.length - missed.length} of ${texts.length}`;
    this.test!.title += ` (${told})`;
    assert.ok(missed.length <= (1 - PROMISED) * texts.length, `${told}; not: ${missed.join(' | ')}`);
  });

  it('answers ragged texts of several requests as it does each alone', async () => {
    const long = 'A sentence that goes on about nothing in particular. '.repeat(12);
    const requests = [
      ['Hi', long],
      [],
      ['The ferry leaves at noon.'],
      [long.slice(0, 200), '', 'Good night!'],
    ];
    const answers = await answersTo(...requests);
    assert.deepEqual(
      answers.map(({ outputs }) => outputs['embedding']!.dims),
      requests.map((texts) => [texts.length, SIZE]),
    );
    for (const [r, texts] of requests.entries()) {
      const together = vectorsOf(answers[r]!);
      for (const [t, text] of texts.entries()) {
        const [alone] = await embed(text);
        assert.ok(farthest(alone!, together[t]!) < NEAR, `request ${r}, text ${t}`);
      }
    }
  });

  it('gives vectors of length 1, the same ones for other capitals, accents and spaces', async () => {
    const [plain, decorated, other] = await embed('a naive cafe', '  A  Naïve CAFÉ\n', 'a cafe');
    for (const vector of [plain!, decorated!, other!]) assert.ok(Math.abs(dot(vector, vector) - 1) < 1e-5);
    assert.ok(farthest(plain!, decorated!) < NEAR);
    assert.ok(farthest(plain!, other!) > 0.01);
  });

  it('says of a request how many of its texts were longer than it reads', async () => {
    const word = (count: number): string => 'word '.repeat(count);
    const [cut, whole] = await answersTo([word(255), 'short', word(300)], [word(254)]);
    assert.deepEqual([cut!.parameters, whole!.parameters], [{ truncated: 2n }, undefined]);
    const [one, two] = vectorsOf(cut!).filter((_, i) => i !== 1);
    assert.ok(farthest(one!, two!) < NEAR);
  });

  it('ends between two runs when every caller has gone', async () => {
    const gone = { ...requestOf({ text: textTensor('a', 'b') }), signal: AbortSignal.abort() };
    const [answer] = await model.code.execute!([gone]);
    assert.match(String(answer), /Error: every caller has gone/);
  });
});

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function farthest(a: Vector, b: Vector): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
