import assert from 'node:assert/strict';
import * as z from 'zod';
import { option } from '../../../../sidecar/config/options/option.js';

describe('an option', () => {
  it('has a schema of its own: of one that two share, the reference would say the same twice', () => {
    const schema = z.string();
    option(schema, { meaning: 'What calls.', why: 'Because.' });
    assert.throws(
      () => option(schema, { meaning: 'What is called.', why: 'Because.' }),
      /^Error: one schema for two options: "What calls\." and "What is called\."$/,
    );
    option(schema.optional(), { meaning: 'What is called.', why: 'Because.' });
  });
});
