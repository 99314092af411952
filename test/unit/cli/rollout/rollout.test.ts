import assert from 'node:assert/strict';
import { requireOneMesh } from '../../../../sidecar/cli/rollout/rollout.js';

describe('a rollout that names no sidecar', () => {
  const mesh = (meshFile: string, ...instances: readonly string[]) => ({
    meshFile,
    admin: Object.fromEntries(instances.map((name, i) => [name, `127.0.0.1:${9000 + i}`])),
  });
  const demo = mesh('demo.yaml', 'digits-1', 'digits-2', 'digits-lite-1', 'web');

  it('is for the one mesh that has the service, whatever others have', () => {
    requireOneMesh('digits', [demo, mesh('two.yaml', 'digits-lite-1')]);
  });

  it('is refused where two meshes have it: the wrong one could get the version', () => {
    assert.throws(() => requireOneMesh('digits', [demo, mesh('two.yaml', 'digits-1', 'web')]), {
      message:
        'several meshes here have a service digits: 127.0.0.1:9000 of demo.yaml, 127.0.0.1:9000 of two.yaml: which one, by --admin HOST:PORT?',
    });
  });
});
