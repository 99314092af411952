/** What ModelMetadata and ModelConfig say of versions that have processes of their own. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServedVersions } from '../../../../../services/model-server/models/version-policy.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';

describe('the versions that a process of one version tells', () => {
  let root = '';
  beforeEach(() => {
    root = scratchForTest().path;
    for (const version of ['1', '2', '10', 'draft'])
      mkdirSync(join(root, 'digits', version), { recursive: true });
    writeFileSync(join(root, 'digits', '12'), 'a file is no version');
  });
  const told = (policy: string | undefined, own: string): string[] =>
    new ServedVersions(root, policy).of('digits', [own]);

  it('are those of the policy, with its own', () => {
    assert.deepEqual(told('all', '2'), ['1', '2', '10']);
    assert.deepEqual(told('latest 2', '10'), ['2', '10']);
    assert.deepEqual(told('specific 1, 10, 11', '1'), ['1', '10']);
    assert.deepEqual(told('latest 2', '1'), ['1', '2', '10'], 'it still drains');
  });

  it('are its own alone without a policy, with one of one version, and of a model that is not there', () => {
    assert.deepEqual(told(undefined, '2'), ['2']);
    assert.deepEqual(told('latest 1', '2'), ['2']);
    assert.deepEqual(new ServedVersions(root, 'all').of('words', ['']), ['']);
  });

  it('have the form of Triton in ModelConfig', () => {
    const policy = (text?: string) => new ServedVersions(root, text).policy;
    assert.deepEqual(policy('all'), { all: {} });
    assert.deepEqual(policy('latest 2'), { latest: { num_versions: 2 } });
    assert.deepEqual(policy('specific 1, 3'), { specific: { versions: ['1', '3'] } });
    for (const text of [undefined, '', 'some'])
      assert.deepEqual(policy(text), { latest: { num_versions: 1 } });
  });
});
