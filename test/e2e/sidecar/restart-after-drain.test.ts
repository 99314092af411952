/** A sidecar that was drained is brought back by POST /takeover, beside a caller and beside a model. */
import assert from 'node:assert/strict';
import { meshFile } from '../../kit/config/mesh-file.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { admin, isReady } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';
import { codeOfDigit } from '../../kit/service/model-load.js';
import { TestClient } from '../../kit/service/model-server.js';

describe('a drained sidecar', function () {
  this.timeout(60_000);

  // How fast this machine is, is not tested.
  const mesh = new SuiteMesh(meshFile({ replicas: 1, attemptTimeout: '4s' }));
  const answers = async (deadline = '5s'): Promise<boolean> =>
    (await mesh.infer('--deadline', deadline)).code === 0;
  const takeOver = async (address: string) =>
    assert.match((await admin(address, '/takeover', 'POST')).body, /^process \d+ accepts/);

  it('beside a caller takes no call, and calls are answered again after a takeover', async () => {
    const { caller } = mesh;
    assert.ok(await answers());
    assert.equal((await admin(caller.admin, '/drain?wait', 'POST')).status, 200);
    assert.match((await admin(caller.admin, '/ready')).body, /draining/);
    assert.equal(await answers('2s'), false);
    await takeOver(caller.admin);
    assert.ok(await answers());
    await until('it is ready', () => isReady(caller.admin));
  });

  it('beside a model serves again after a takeover, with a model of its successor', async () => {
    const replica = mesh.replicas[0]!;
    const client = new TestClient(mesh.target);
    afterTest(() => client.close());
    assert.equal((await admin(replica.admin, '/drain?wait', 'POST')).status, 200);
    assert.equal(await answers('2s'), false);
    await takeOver(replica.admin);
    await until('calls are answered again', async () => (await codeOfDigit(client)) === 0, 30_000);
  });
});
