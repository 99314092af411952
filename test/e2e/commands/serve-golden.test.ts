/** The golden block that `outrider serve --golden` makes. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { parseCard } from '../../../services/model-server/models/card.js';
import { DIGITS_MODELS, outrider, Scratch } from '../../kit/process/outrider.js';

describe('outrider serve --golden', function () {
  this.timeout(60_000);
  let scratch: Scratch;
  let folder: string;

  beforeEach(() => {
    scratch = new Scratch();
    folder = join(scratch.path, 'mine/1');
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(DIGITS_MODELS, 'digits/1/model.onnx'), join(folder, 'model.onnx'));
  });
  afterEach(() => scratch.remove());

  const golden = async (models: string): Promise<string> => {
    const { code, stdout, stderr } = await outrider(['serve', '--models', models, '--golden']);
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  };

  it('prints what the cards of this package say', async () => {
    const card = parseCard(readFileSync(join(DIGITS_MODELS, 'digits/1/model.yaml'), 'utf8'));
    const made = parseCard(await golden(DIGITS_MODELS));
    assert.deepEqual(made.golden.inputs, card.golden.inputs);
    const [found, expected] = [made, card].map((each) => each.golden.outputs['probabilities']!.values);
    for (const [i, value] of expected!.entries())
      assert.ok(Math.abs(Number(value) - Number(found![i])) <= 1e-6, `${i}`);
  });

  it('takes zeros for a model without a card, and then the input that is put in', async () => {
    const first = await golden(scratch.path);
    assert.match(first, /# of zeros, which prove little/);
    const card = parse(first) as { golden: { inputs: { pixels: { values: unknown } } } };
    card.golden.inputs.pixels.values = new Array(784).fill(0.5);
    writeFileSync(join(folder, 'model.yaml'), stringify(card));
    const second = await golden(scratch.path);
    assert.doesNotMatch(second, /zeros/);
    const outputs = [first, second].map((text) => parseCard(text).golden.outputs);
    assert.notDeepEqual(outputs[0], outputs[1]);
  });

  it('says what is wrong instead of printing it', async () => {
    writeFileSync(join(folder, 'model.onnx'), 'not a model');
    const { code, stdout, stderr } = await outrider(['serve', '--models', scratch.path, '--golden']);
    assert.equal(code, 1);
    assert.ok(!stdout.includes('golden:'), stdout);
    assert.match(stderr, /^outrider serve: /);
  });
});
