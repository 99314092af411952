import assert from 'node:assert/strict';
import { join } from 'node:path';
import { goldenData } from '../../../../proto/golden-values.js';
import { parseGoldenCard, readGoldenCard } from '../../../../sidecar/config/file/golden-card.js';
import { DIGITS_MODELS } from '../../../kit/process/outrider.js';

const card = (golden: string): ReturnType<typeof parseGoldenCard> =>
  parseGoldenCard(golden, 'm/1/model.yaml');

describe('golden card', () => {
  it('reads the one of the digits model', () => {
    const { tolerance, inputs, outputs } = readGoldenCard(join(DIGITS_MODELS, 'digits/1/model.yaml'));
    assert.equal(tolerance, 0.0001);
    assert.deepEqual(inputs['pixels']!.shape, [1, 784]);
    assert.equal(inputs['pixels']!.values.length, 784);
    assert.equal(outputs['probabilities']!.values.length, 10);
  });

  it('takes lists, blocks of numbers, a scalar, text, and a datatype where the card says one', () => {
    const read = card(`
golden:
  inputs:
    a: { shape: [2], values: [1, true] }
    b: { shape: [2, 2], values: "1 2\\n 3 4" }
    c: { shape: [], values: [7], datatype: INT64 }
    d: { shape: [1], values: [text], datatype: BYTES }
  outputs: { y: { values: [0.5] } }
`);
    assert.equal(read.tolerance, 1e-4);
    assert.deepEqual(read.inputs['b']!.values, [1, 2, 3, 4]);
    assert.equal(read.inputs['c']!.datatype, 'INT64');
    assert.deepEqual(read.inputs['d']!.values, ['text']);
  });

  it('keeps integers beyond 2^53 as they are, in a block and in quotes', () => {
    const read = card(`
golden:
  inputs:
    a: { shape: [2], values: "9007199254740993 -7" }
    b: { shape: [1], values: ["9007199254740993"] }
  outputs: { y: { values: [0.5] } }
`);
    const values = Object.entries(read.inputs).map(([name, { values }]) => goldenData(values, 'INT64', name));
    assert.deepEqual(values, [BigInt64Array.of(9007199254740993n, -7n), BigInt64Array.of(9007199254740993n)]);
  });

  for (const [text, complaint] of [
    ['', 'm/1/model.yaml: golden: missing; expected an input whose output is known'],
    ['description: x', 'm/1/model.yaml: golden: missing; expected an input whose output is known'],
    ['golden: [', /^m\/1\/model\.yaml: not valid YAML: /],
    ['golden: 5', /^m\/1\/model\.yaml: golden: /],
    [
      'golden: { inputs: {}, outputs: {} }',
      'm/1/model.yaml: golden.outputs: found none, expected one output at least',
    ],
    [
      'golden: { inputs: { x: { shape: [3], values: [1] } }, outputs: { y: { values: [1] } } }',
      'm/1/model.yaml: golden.inputs.x.values: found 1 values, expected 3 for shape [3]',
    ],
    [
      'golden: { tolerance: -1, inputs: {}, outputs: { y: { values: "1 two" } } }',
      /golden\.tolerance: .*; golden\.outputs\.y\.values: /,
    ],
  ] as const)
    it(`refuses ${JSON.stringify(text)} in one line`, () =>
      assert.throws(
        () => card(text),
        (error: Error) => {
          assert.match(
            error.message,
            typeof complaint === 'string' ? new RegExp(`^${quoted(complaint)}$`) : complaint,
          );
          assert.ok(!error.message.includes('\n'));
          return true;
        },
      ));

  it('names a file that is not there', () =>
    assert.throws(() => readGoldenCard('/nowhere/model.yaml'), /\/nowhere\/model\.yaml/));
});

function quoted(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
