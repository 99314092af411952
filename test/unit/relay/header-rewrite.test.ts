import assert from 'node:assert/strict';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import { HeaderEditor } from '../../../sidecar/relay/header-rewrite.js';

const fields = (pairs: readonly (readonly [string, string])[]) =>
  pairs.map(([name, value]) => makeField(name, value));
const pairs = (all: readonly { readonly name: string; readonly value: string }[]) =>
  all.map(({ name, value }) => [name, value]);

describe('the headers of a request that a rule changes', () => {
  const editor = new HeaderEditor({ remove: ['x-old'], set: [['x-tier', 'gold']], add: [['x-by', 'rule']] });

  it('lose, replace and gain fields, wherever those are', () => {
    const stable = StableList.of(
      fields([
        [':path', '/a'],
        ['x-old', '1'],
        ['x-by', 'caller'],
      ]),
    );
    const extras = fields([
      ['x-tier', 'iron'],
      ['x-n', '7'],
    ]);
    const changed = editor.request(new HeaderBlock(stable, extras, 0, 5, false, false));
    assert.deepEqual(pairs(changed.stable.toFields()), [
      [':path', '/a'],
      ['x-by', 'caller'],
      ['x-tier', 'gold'],
      ['x-by', 'rule'],
    ]);
    assert.deepEqual(pairs(changed.extras), [['x-n', '7']]);
  });

  it('are the same list each time, so that work on it is remembered', () => {
    const stable = StableList.of(fields([[':path', '/a']]));
    assert.equal(editor.list(stable), editor.list(stable));
  });
});
