import assert from 'node:assert/strict';
import { Keys, keyLine } from '../../../../../services/openai/http/keys.js';

const SHOP = 'sk-shop';
const keys = Keys.parse(
  [
    '# callers',
    keyLine('shop', SHOP),
    `${keyLine('search', 'sk-search')} 127.0.0.1:8801`,
    '',
    `${keyLine('shop', 'sk-shop-2')}\r`,
  ].join('\n'),
);

describe('API keys', () => {
  it('name their caller, and its sidecar if the file does', () => {
    assert.deepEqual(keys.callerOf(`Bearer ${SHOP}`), { name: 'shop', engine: undefined });
    assert.deepEqual(keys.callerOf('bearer sk-search'), { name: 'search', engine: '127.0.0.1:8801' });
    assert.deepEqual(keys.engines, ['127.0.0.1:8801']);
  });

  it('of a caller may be two, for a change', () =>
    assert.equal(keys.callerOf('Bearer sk-shop-2')?.name, 'shop'));

  it('are whole: no part of one, no other scheme, no absent one', () => {
    for (const header of [
      'Bearer sk-sho',
      `Bearer ${SHOP}x`,
      `Basic ${SHOP}`,
      SHOP,
      'Bearer ',
      '',
      undefined,
    ])
      assert.equal(keys.callerOf(header), undefined, header);
  });

  it('are not in the file, nor in the message of an error', () => {
    assert.ok(!keyLine('shop', SHOP).includes(SHOP));
    assert.throws(() => Keys.parse(`shop ${SHOP}`), {
      message: 'line 1: expected NAME sha256:DIGEST [ADDRESS]',
    });
    assert.throws(() => Keys.parse('# none\n'), { message: 'the file has no key' });
  });
});
