import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { cardSchema, keyDocs } from '../../../services/model-server/models/card.js';
import { cardJsonSchema, withKeyTable } from '../../../tools/card-reference.js';
import { packageRoot } from '../../kit/process/package-root.js';

const PAGE = readFileSync(join(packageRoot, 'mesh-config/MODEL.md'), 'utf8');

describe('the reference of model.yaml', () => {
  it('has the table that `npm run generate` writes', () => {
    assert.equal(withKeyTable(PAGE, cardSchema), PAGE);
  });

  it('shows a new key by itself, with its default, in the table and in the schema', () => {
    const sequence = z.strictObject({
      idle: z.string().default('10s').register(keyDocs, { description: 'How long.' }),
      max: z.int().optional().register(keyDocs, { description: 'How many.', otherwise: 'no limit' }),
    });
    const more = z.strictObject({
      sequence: sequence.register(keyDocs, { description: 'State between requests.' }),
    });
    const page = withKeyTable(PAGE, more);
    assert.match(page, /^\| `sequence\.idle` +\| How long\. +\| `"10s"` +\|$/m);
    assert.match(page, /^\| `sequence\.max` +\| How many\. +\| no limit +\|$/m);
    const { properties } = JSON.parse(cardJsonSchema(more)).properties.sequence;
    assert.equal(properties.max.description, 'How many. Default: no limit.');
    assert.ok(!('otherwise' in properties.max));
  });

  it('is refused for a key without a text, at any depth, and for a page without a place for the table', () => {
    const inner = z.strictObject({ new: z.int() });
    const nested = z.strictObject({
      outer: z.record(z.string(), inner).register(keyDocs, { description: 'A map.' }),
    });
    const message = 'model.yaml: the key outer.NAME.new has no text; register it in keyDocs';
    assert.throws(() => cardJsonSchema(nested), { message });
    assert.throws(() => withKeyTable(PAGE, nested), { message });
    assert.throws(() => withKeyTable('# model.yaml', cardSchema), /MODEL\.md: the lines .* are missing/);
  });
});
