/** Where models without processes of their own are served: by a server that is not asked which, or by one for all of them. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { modelServer } from '../../../sidecar/app/model-addresses.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';

describe('the place of models in one process', () => {
  const scratch = scratchForEach();
  const local = { kind: 'unix', path: '/run/model.sock' } as const;
  const put = (...folders: string[]): void => {
    for (const folder of folders) mkdirSync(join(scratch.path, folder), { recursive: true });
  };
  const place = (isolation?: 'shared') => {
    const golden = { models: scratch.path, intervalMs: 1_000 };
    const { address, models } = modelServer({ local, golden }, isolation);
    return [address, models.map(({ name, version }) => `${name}:${version}`)];
  };

  it('has no names where nothing is said', () => {
    put('a/1', 'b/1');
    assert.deepEqual(place(), [local, []]);
    assert.deepEqual(modelServer({ local }, 'shared'), { address: local, models: [] });
  });

  it('has the names of all where they share a process, each at its highest version', () => {
    put('a/1', 'b/9', 'b/10', 'c', '.hidden/1');
    assert.deepEqual(place('shared'), [local, ['a:1', 'b:10', 'c:']]);
  });

  it('is refused in one line where there is no model', () => {
    assert.throws(() => place('shared'), /found no models, expected <name>\/<version>\/model.yaml$/);
    put('b');
    assert.throws(() => place('shared'), /found no models/);
  });
});
