import assert from 'node:assert/strict';
import { namedSidecars } from '../../../../sidecar/cli/up/running-sidecars.js';

describe('the names of running sidecars', () => {
  const mesh = (meshFile: string, pid: number, ...instances: readonly string[]) => ({
    ...{ meshFile, pid, call: {} },
    admin: Object.fromEntries(instances.map((name, i) => [name, `127.0.0.1:${pid * 10 + i}`])),
  });
  const names = (...meshes: Parameters<typeof namedSidecars>[0]) =>
    namedSidecars(meshes).map(({ name }) => name);

  it('are those of the instances as long as no two are alike', () => {
    const meshes = [mesh('/a/demo.yaml', 1, 'digits-1', 'web'), mesh('/a/two.yaml', 2, 'iris-1')];
    assert.deepEqual(namedSidecars(meshes), [
      { name: 'digits-1', admin: '127.0.0.1:10' },
      { name: 'web', admin: '127.0.0.1:11' },
      { name: 'iris-1', admin: '127.0.0.1:20' },
    ]);
    assert.deepEqual(names(), []);
  });

  it('say the mesh where two meshes have an instance of one name, and the others stay', () => {
    const meshes = [mesh('/a/demo.yaml', 1, 'digits-1', 'web'), mesh('/a/two.yaml', 2, 'digits-1')];
    assert.deepEqual(namedSidecars(meshes), [
      { name: 'digits-1 (demo.yaml)', admin: '127.0.0.1:10', isOfSeveral: true },
      { name: 'web', admin: '127.0.0.1:11' },
      { name: 'digits-1 (two.yaml)', admin: '127.0.0.1:20', isOfSeveral: true },
    ]);
  });

  it('are never alike, where files of one name run in two folders', () => {
    const said = names(mesh('/a/mesh.yaml', 1, 'm-1'), mesh('/b/mesh.yaml', 2, 'm-1'));
    assert.deepEqual(said, ['m-1 (mesh.yaml, process 1)', 'm-1 (mesh.yaml, process 2)']);
  });
});
