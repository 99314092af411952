import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenBlock, knownInput } from '../../../../../services/model-server/authoring/golden-of.js';
import { temporaryDirectory } from '../../../../kit/service/model-server.js';
import { arithmeticModel } from '../../../../kit/service/tiny-models.js';

describe('the golden block of a network', () => {
  let root: string;
  beforeEach(() => {
    root = temporaryDirectory();
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** A network that adds and multiplies, with this card. */
  function put(card?: string) {
    const directory = join(root, 'sums/1');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'model.onnx'), arithmeticModel());
    if (card !== undefined) writeFileSync(join(directory, 'model.yaml'), card);
    return { name: 'sums', version: '1', directory, problem: '' };
  }

  it('is what comes out of the inputs of the card', async () => {
    const one = (values: string) => `{shape: [1, 2], values: ${values}}`;
    const text = await goldenBlock(put(`golden: {inputs: {a: ${one('[1, 2]')}, b: ${one('[3, 4]')}}}\n`));
    assert.match(text, /"sum":\s+values: \[4, 6\]/);
    assert.match(text, /"product":\s+values: \[3, 8\]/);
    assert.doesNotMatch(text, /zeros/);
  });

  it('is of zeros where the card has no inputs, and says that they prove little', async () => {
    const text = await goldenBlock(put());
    assert.match(text, /of zeros, which prove little/);
    assert.match(text, /"sum":\s+values: \[0, 0\]/);
  });

  for (const [what, card] of [
    ['code around it', 'code: ./model.js\n'],
    ['a state that callers do not see', 'sequence: {state: [{input: b, output: sum}]}\n'],
  ])
    it(`is refused of one with ${what}, and the command that makes it is named`, async () => {
      const found = put(card);
      await assert.rejects(goldenBlock(found), {
        message: `${join(found.directory, 'model.yaml')}: found code or sequence.state, so that the network alone does not answer as the model; run: outrider golden ${found.directory}`,
      });
    });

  it('is refused where the values of an input do not fill its shape', () => {
    const spec = { name: 'a', datatype: 'FP32', shape: [-1], symbols: [undefined] } as const;
    assert.equal(knownInput(spec, undefined), undefined);
    assert.throws(
      () => knownInput(spec, { shape: [3], values: [1] }),
      /input 'a': found 1 values, expected 3/,
    );
  });
});
