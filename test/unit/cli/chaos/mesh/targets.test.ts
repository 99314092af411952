import assert from 'node:assert/strict';
import { meshTargets } from '../../../../../sidecar/cli/chaos/mesh/targets.js';
import { writeAddress } from '../../../../../sidecar/config/codecs/address.js';

const running = (meshFile: string, base: number) => ({
  ...{ pid: 1, meshFile, call: {} },
  admin: { 'digits-1': `127.0.0.1:${base}`, web: `http://127.0.0.1:${base + 1}/` },
});
const A = running('/srv/a.yaml', 7000);
const B = running('/srv/b.yaml', 8000);

describe('which mesh drills are held on', () => {
  const found = (where: string | undefined, meshes = [A]) => {
    const { what, admin } = meshTargets(where, meshes);
    return [what, admin.map(writeAddress).join(' ')];
  };

  it('is the only one that runs here', () => {
    assert.deepEqual(found(undefined), ['/srv/a.yaml', '127.0.0.1:7000 127.0.0.1:7001']);
  });

  it('is the one of a file, or of any of its admin addresses', () => {
    for (const where of [
      '/srv/b.yaml',
      '127.0.0.1:8001',
      'http://127.0.0.1:8000/',
      '127.0.0.1:8000,127.0.0.1:8001',
    ])
      assert.deepEqual(found(where, [A, B]), ['/srv/b.yaml', '127.0.0.1:8000 127.0.0.1:8001']);
  });

  it('is what the addresses say where `up` runs none of it', () => {
    assert.deepEqual(found('10.0.0.1:9,10.0.0.2:9', [A]), [
      '10.0.0.1:9, 10.0.0.2:9',
      '10.0.0.1:9 10.0.0.2:9',
    ]);
  });

  for (const [where, meshes, said] of [
    [undefined, [], /no mesh of `outrider up` runs here; name one: --mesh/],
    [undefined, [A, B], /2 meshes run here; name one: --mesh \/srv\/a.yaml, --mesh \/srv\/b.yaml/],
    [
      'c.yaml',
      [A],
      /--mesh: found c.yaml; expected the file of a mesh that runs here \(\/srv\/a.yaml\), or admin/,
    ],
  ] as const)
    it(`is not guessed: ${where ?? 'nothing is said'}, and ${meshes.length} run`, () => {
      assert.throws(() => meshTargets(where, meshes), said);
    });
});
