import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { decodeWeights, exportedJson, toOnnx } from '../../../../services/langid/convert.js';
import { ModelSession } from '../../../../services/model-server/network/session.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

/** Bytes of weights, as lande keeps them. */
const text = (scale: number, ...bytes: number[]): string =>
  `1${scale}|${Buffer.from(bytes).toString('base64')}`;

describe('the conversion of langid', () => {
  it('reads modules that are nothing but JSON', () => {
    assert.deepEqual(exportedJson('export default {"a":[1]};'), { a: [1] });
    assert.deepEqual(exportedJson('\nexport default ["x"]\n'), ['x']);
    assert.throws(
      () => exportedJson('const a = 1;'),
      /found 'const a = 1;', expected 'export default' and JSON/,
    );
    assert.throws(() => exportedJson('export default f();'), SyntaxError);
  });

  it('decodes weights: (byte − 127) ÷ scale', () => {
    assert.deepEqual(
      [...decodeWeights(text(2.5, 127, 132, 0, 255))],
      [0, 2, Math.fround(-50.8), Math.fround(51.2)],
    );
    assert.throws(() => decodeWeights('4AAAA'), /found '4AAAA', expected 1SCALE\|BASE64/);
  });

  it('writes a network that computes what its weights say', async () => {
    const onnx = toOnnx([
      { type: 'input', sz: 2 },
      {
        type: 'dense',
        filters: 2,
        _filters: [text(1, 128, 127), text(1, 127, 126)],
        _biases: text(1, 127, 127),
      },
      { type: 'relu' },
      {
        type: 'dense',
        filters: 2,
        _filters: [text(1, 128, 127), text(1, 127, 128)],
        _biases: text(1, 128, 127),
      },
      { type: 'softmax' },
    ]);
    const scratch = scratchForTest();
    const file = `${scratch.path}/model.onnx`;
    writeFileSync(file, onnx);
    const session = await ModelSession.load(file);
    const features = { datatype: 'FP32', dims: [2, 2], data: new Float32Array([3, 4, 0, -5]) } as const;
    const [answer] = await session.run([features], [0]);
    await session.release();
    // The hidden layer is [x, −y] without what is below 0: [3, 0] and [0, 5]; the scores are [4, 0] and [1, 5].
    const softmax = (a: number, b: number): number[] => [
      1 / (1 + Math.exp(b - a)),
      1 / (1 + Math.exp(a - b)),
    ];
    const expected = [...softmax(4, 0), ...softmax(1, 5)];
    [...(answer!.data as Float32Array)].forEach((value, i) => {
      assert.ok(Math.abs(value - expected[i]!) < 1e-6, `${value}, expected ${expected[i]}`);
    });
  });

  it('refuses a network of another form, and weights that do not fit', () => {
    assert.throws(() => toOnnx([{ type: 'input' }, { type: 'conv' }]), {
      message: 'found layers input,conv, expected input,dense,relu,dense,softmax',
    });
    const wrong = { type: 'dense', filters: 1, _filters: [text(1, 1)], _biases: text(1, 1) };
    const layers = [{ type: 'input', sz: 2 }, wrong, { type: 'relu' }, wrong, { type: 'softmax' }];
    assert.throws(() => toOnnx(layers), {
      message: 'dense layer 1: its weights are not 1 rows of 2 and a bias each',
    });
  });
});
