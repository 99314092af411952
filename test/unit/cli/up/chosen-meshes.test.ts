/** Which of the meshes that run here a command is about. */
import assert from 'node:assert/strict';
import { chooseMeshes } from '../../../../sidecar/cli/up/chosen-meshes.js';

describe('the mesh that a command is about', () => {
  const mesh = (meshFile: string, cwd?: string) => ({
    ...{ pid: meshFile.length, meshFile, admin: {}, call: {} },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const mine = mesh('/home/me/iris/iris.yaml', '/home/me/iris');
  const packaged = mesh('/home/me/try/node_modules/outrider/mesh-config/demo.yaml', '/home/me/try');
  const others = mesh('/srv/clone/mesh-config/demo.yaml', '/srv/clone');

  it('is that of the folder: of a file in it, or started in it', () => {
    const running = [mine, packaged, others];
    for (const [cwd, expected] of [
      ['/home/me/iris', mine],
      ['/home/me/try', packaged],
      ['/srv/clone', others],
      ['/srv/clone/mesh-config', others],
    ] as const)
      assert.deepEqual(chooseMeshes(running, { cwd }), { meshes: [expected] }, cwd);
  });

  it('is that of a folder above or below where the folder has none', () => {
    assert.deepEqual(chooseMeshes([mine, others], { cwd: '/srv/clone/docs' }).meshes, [others]);
    assert.deepEqual(chooseMeshes([mine, packaged, others], { cwd: '/home/me' }).meshes, [mine, packaged]);
    assert.throws(() => chooseMeshes([others, mine], { cwd: '/srv/clone-2' }), /elsewhere/);
  });

  it('is the only one elsewhere, which is said, and none of several', () => {
    const { meshes, note } = chooseMeshes([mine], { cwd: '/srv/clone' });
    assert.deepEqual(meshes, [mine]);
    assert.match(note!, /no mesh of this folder runs; this is \/home\/me\/iris\/iris\.yaml/);
    assert.throws(
      () => chooseMeshes([mine, packaged], { cwd: '/srv' }),
      /elsewhere: .*iris\.yaml \(process \d+\), .*demo\.yaml \(process \d+\); name one with --mesh FILE/,
    );
    assert.deepEqual(chooseMeshes([], { cwd: '/srv' }), { meshes: [] });
  });

  it('is that of the file that is named, wherever the command runs', () => {
    assert.deepEqual(chooseMeshes([mine, others], { file: 'iris.yaml', cwd: '/home/me/iris' }).meshes, [
      mine,
    ]);
    assert.deepEqual(chooseMeshes([mine, others], { file: mine.meshFile, cwd: '/srv/clone' }).meshes, [mine]);
    assert.throws(
      () => chooseMeshes([mine], { file: 'two.yaml', cwd: '/home/me/iris' }),
      /no mesh of \/home\/me\/iris\/two\.yaml runs here; running: /,
    );
  });
});
