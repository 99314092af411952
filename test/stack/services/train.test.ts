import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digit, heldOut, trainingSet } from '../../../services/digits/dataset.js';
import { make, recipes } from '../../../services/digits/train.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { startHarness, type TestClient } from '../../kit/service/model-server.js';

const read = async (client: TestClient, { pixels }: Digit): Promise<number> => {
  const answer = await client.infer({
    model_name: 'digits',
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
    raw_input_contents: [new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength)],
  });
  const scores = [...new Float32Array(new Uint8Array(answer.raw_output_contents[0]!).buffer)];
  return scores.indexOf(Math.max(...scores));
};

describe('the digits models', () => {
  for (const [folder, promised] of [
    ['models', 0.945],
    ...(EFFORT > 1 ? [['lite/models', 0.9] as const] : []),
  ] as const) {
    it(`read ${100 * promised} % of the held-out digits at least, asked through gRPC (${folder})`, async () => {
      const harness = await startHarness(join(packageRoot, 'services/digits', folder));
      afterTest(() => harness.stop());
      const digits = heldOut();
      assert.ok(digits.length >= 2000);
      let right = 0;
      let next = 0;
      const ask = async () => {
        for (let i = next++; i < digits.length; i = next++) {
          if ((await read(harness.client, digits[i]!)) === digits[i]!.label) right++;
        }
      };
      await Promise.all(Array.from({ length: 32 }, ask));
      assert.ok(right / digits.length >= promised, `${((100 * right) / digits.length).toFixed(2)} %`);
    });
  }

  it('learned from none of the held-out digits', () => {
    const key = ({ pixels }: Digit) =>
      Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength).toString('base64');
    const learned = new Set(trainingSet().map(key));
    assert.equal(trainingSet().length + heldOut().length, 10_000);
    assert.deepEqual(
      heldOut().filter((d) => learned.has(key(d))),
      [],
    );
  });

  if (EFFORT > 1)
    it('come out of the training script byte for byte (the small one, made anew)', () => {
      const folder = join(packageRoot, 'services/digits', recipes.lite.folder);
      const { onnx, card } = make(recipes.lite, trainingSet(), heldOut());
      assert.ok(onnx.equals(readFileSync(join(folder, 'model.onnx'))));
      assert.equal(card, readFileSync(join(folder, 'model.yaml'), 'utf8'));
    });
});
