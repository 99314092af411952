/** How a version policy is written. */
import assert from 'node:assert/strict';
import { readVersionPolicy, versionPolicyText } from '../../../../sidecar/config/codecs/version-policy.js';

describe('version policies', () => {
  for (const [text, policy] of [
    ['all', { kind: 'all' }],
    ['latest 3', { kind: 'latest', count: 3 }],
    ['specific 1, 30', { kind: 'specific', versions: ['1', '30'] }],
  ] as const)
    it(`${text} is read and written back`, () => {
      assert.deepEqual(readVersionPolicy(text), { ok: true, value: policy });
      assert.equal(versionPolicyText(policy), text);
    });

  it('latest means one, and spaces after commas may be left out', () => {
    assert.deepEqual(readVersionPolicy('latest'), readVersionPolicy('latest 1'));
    assert.deepEqual(readVersionPolicy('specific 1,2'), readVersionPolicy('specific 1, 2'));
  });

  for (const text of ['', 'latest 0', 'latest -1', 'specific', 'specific 0', 'specific 01', 'some', 'all 2'])
    it(`'${text}' is refused with the forms that there are`, () => {
      const read = readVersionPolicy(text);
      assert.equal(read.ok, false);
      assert.match(
        read.ok ? '' : read.problem,
        /^found ".*"; expected "all", "latest", "latest 2" or "specific 1, 3"$/,
      );
    });
});
