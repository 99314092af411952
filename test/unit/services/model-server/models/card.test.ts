/** mesh-config/MODEL.md against the schema, and the golden block that `outrider serve --golden` makes. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { cardSchema, parseCard } from '../../../../../services/model-server/models/card.js';
import { DIGITS_MODELS, outrider, REPOSITORY, Scratch } from '../../../../kit/process/outrider.js';
import { readMarkdown } from '../../../../kit/source-tree/document.js';

const PAGE = readFileSync(join(REPOSITORY, 'mesh-config/MODEL.md'), 'utf8');

/** Paths of what a card may say; `NAME` for any key of a map. */
function pathsIn(schema: unknown, path = ''): string[] {
  const { properties, additionalProperties } = schema as {
    properties?: Record<string, unknown>;
    additionalProperties?: unknown;
  };
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
  if (properties !== undefined)
    return Object.entries(properties).flatMap(([key, inner]) => pathsIn(inner, at(key)));
  const isMapOfBlocks =
    typeof additionalProperties === 'object' && 'properties' in (additionalProperties ?? {});
  return isMapOfBlocks ? pathsIn(additionalProperties, at('NAME')) : [path];
}

describe('the page of model.yaml', () => {
  it('has a row for each key, and for no other', () => {
    const schema = z.toJSONSchema(cardSchema, { io: 'input', unrepresentable: 'any' });
    const table = PAGE.slice(0, PAGE.indexOf('<!-- End'));
    const rows = [...table.matchAll(/^\| `([a-zA-Z0-9_.]+)` +\|/gm)].map(([, key]) => key!);
    assert.deepEqual(rows.sort(), pathsIn(schema).sort());
  });

  it('takes preferred sizes in any order, and refuses one that no batch can have', () => {
    const card = (preferred: number[]) =>
      parseCard(
        stringify({
          batching: { max_batch: 8, preferred },
          golden: { inputs: {}, outputs: { y: { values: [1] } } },
        }),
      );
    assert.deepEqual(card([8, 2, 4]).batching!.preferred, [2, 4, 8]);
    assert.throws(() => card([4, 16]), /batching\.preferred: found 16, expected at most the 8 of max_batch/);
  });

  it('shows a card that is valid and says everything once', () => {
    const [example] = readMarkdown('MODEL.md', PAGE).yaml;
    const card = parseCard(example!.text);
    for (const [key, value] of Object.entries(card)) assert.ok(value !== undefined, key);
    assert.equal(card.golden.inputs['petals']!.values.length, 4);
    assert.equal(card.golden.outputs['probabilities']!.values.length, card.labels!.length);
  });
});

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
