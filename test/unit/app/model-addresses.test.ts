/** Where models are served: by one process that is not asked which, by one for all of them, or by one for each. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { modelServers } from '../../../sidecar/app/model-addresses.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';

describe('the places of models', () => {
  const scratch = scratchForEach();
  const local = { kind: 'unix', path: '/run/model.sock' } as const;
  const put = (...folders: string[]): void => {
    for (const folder of folders) mkdirSync(join(scratch.path, folder), { recursive: true });
  };
  const places = (isolation?: 'process' | 'shared', instances = 1) =>
    modelServers(
      { local, golden: { models: scratch.path, intervalMs: 1_000 } },
      isolation === undefined ? undefined : { isolation, instances },
    ).map(({ address, models, only }) => [
      address.kind === 'unix' ? address.path : '',
      models.map(({ name, version }) => `${name}:${version}`),
      only,
    ]);

  it('are one, without names, where nothing is said', () => {
    put('a/1', 'b/1');
    assert.deepEqual(places(), [['/run/model.sock', [], undefined]]);
    assert.deepEqual(modelServers({ local }, { isolation: 'process', instances: 2 }), [
      { address: local, models: [] },
    ]);
  });

  it('are one with the names of all where they share a process', () => {
    put('a/1', 'b/9', 'b/10');
    assert.deepEqual(places('shared'), [['/run/model.sock', ['a:1', 'b:10'], undefined]]);
  });

  it('are sockets beside the one that is named, a process at each', () => {
    put('b/1', 'a/2', '.hidden/1');
    assert.deepEqual(places('process'), [
      ['/run/model.sock.1', ['a:2'], 'a'],
      ['/run/model.sock.2', ['b:1'], 'b'],
    ]);
  });

  it('are sockets for each instance of each model', () => {
    put('a/1', 'b/1');
    assert.deepEqual(
      places('process', 2).map(([path, models]) => [path, ...(models as string[])]),
      [1, 2, 3, 4].map((n) => [`/run/model.sock.${n}`, n <= 2 ? 'a:1' : 'b:1']),
    );
  });

  it('are that socket itself for a single model, whose process is told its name all the same', () => {
    put('a/1');
    assert.deepEqual(places('process'), [['/run/model.sock', ['a:1'], 'a']]);
  });

  it('are there for a folder without a version too, so that it is said why it is not served', () => {
    put('a/1', 'b');
    assert.deepEqual(places('process')[1], ['/run/model.sock.2', ['b:'], 'b']);
  });

  it('are refused in one line where there is no model', () => {
    assert.throws(() => places('process'), /found no models, expected <name>\/<version>\/model.yaml$/);
    put('b');
    assert.throws(() => places('shared'), /found no models/);
  });
});
