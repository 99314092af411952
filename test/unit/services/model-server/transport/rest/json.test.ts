import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RpcError, status } from '../../../../../../services/model-server/rpc.js';
import {
  MAX_DEPTH,
  MAX_LISTS,
  MAX_MEMBERS,
  parseJson,
} from '../../../../../../services/model-server/transport/rest/json.js';

const parse = (text: string) => parseJson(Buffer.from(text));
const refused = (text: string, why: RegExp) =>
  assert.throws(
    () => parse(text),
    (error) => error instanceof RpcError && error.code === status.INVALID_ARGUMENT && why.test(error.message),
  );

describe('JSON of untrusted callers', () => {
  it('is what JSON.parse says, whatever brackets, colons and quotes its texts have', () => {
    const texts = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', ':', '"', '\\', 'a', 'ü') });
    const values = fc.json({ stringUnit: fc.constantFrom('[', '{', ':', '"', '\\', 'a', 'ü') });
    fc.assert(fc.property(values, (text) => assert.deepEqual(parse(text), JSON.parse(text))));
    fc.assert(
      fc.property(texts, (text) => assert.equal(parse(JSON.stringify(text.repeat(20))), text.repeat(20))),
    );
  });

  it('may be as deep as the limit, and not deeper', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    assert.doesNotThrow(() => parse(nested(MAX_DEPTH)));
    refused(nested(MAX_DEPTH + 1), /more than 64 levels of nesting/);
    refused('{"a":'.repeat(MAX_DEPTH + 1), /more than 64 levels of nesting/);
    assert.doesNotThrow(() => parse(JSON.stringify('['.repeat(1000))));
    assert.doesNotThrow(() => parse(`[${'[],'.repeat(1000)}[]]`), 'side by side is not deep');
  });

  it('is refused at the first level too many, however much follows', () => {
    const parsed = JSON.parse;
    JSON.parse = () => assert.fail('parsed');
    try {
      refused('['.repeat(1 << 20), /levels of nesting/);
    } finally {
      JSON.parse = parsed;
    }
  });

  it('has no more objects, members and lists than a request may', () => {
    refused(`[${'{},'.repeat(MAX_MEMBERS)}{}]`, /more than 100000 objects and members/);
    refused(`{${'"a":1,'.repeat(MAX_MEMBERS)}"a":1}`, /more than 100000 objects and members/);
    refused(`[${'[],'.repeat(MAX_LISTS)}[]]`, /more than 1000000 lists/);
  });

  it('says what is no JSON, as before', () => {
    refused('{', /found 1 bytes that are no JSON/);
    refused('"a', /found 2 bytes that are no JSON/);
    refused('"\\', /found 2 bytes that are no JSON/);
    refused(']]]', /no JSON/);
  });
});
