/** mesh-config/MODEL.md against the schema. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { cardSchema, parseCard } from '../../../../../services/model-server/models/card.js';
import { REPOSITORY } from '../../../../kit/process/outrider.js';
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
