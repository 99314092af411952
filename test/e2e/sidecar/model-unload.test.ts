/** A model is unloaded and loaded through its sidecar, with real processes: who may, and what health says then. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { REPOSITORY_LOAD, REPOSITORY_UNLOAD } from '../../../sidecar/codec/repository.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { DIGITS_MODELS, Scratch } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { type Pair, startPair } from '../../kit/process/sidecars.js';
import { failure, TestClient } from '../../kit/service/model-server.js';

const SERVER = fileURLToPath(new URL('../../../services/model-server/main.js', import.meta.url));

describe('a model that is unloaded through its sidecar', function () {
  this.timeout(90_000);

  let scratch: Scratch;
  let pair: Pair;
  let client: TestClient;

  async function start(controlMethods?: readonly string[]): Promise<void> {
    scratch = new Scratch();
    const local = { kind: 'unix', path: join(scratch.path, 'model.sock') } as const;
    const served = ['--models', DIGITS_MODELS, '--listen', '{socket}', '--control', 'explicit'];
    const command = [process.execPath, SERVER, ...served];
    pair = await startPair({ local, model: { command }, ...(controlMethods && { controlMethods }) });
    await pair.ready();
    client = new TestClient(writeAddress(pair.target));
  }
  afterEach(async () => {
    client.close();
    await pair.close();
    scratch.remove();
  });

  const { inference } = protocols();
  const command = (method: typeof inference.RepositoryModelUnload) =>
    client.call(method, { model_name: 'digits' });
  const isReady = async (): Promise<boolean> => (await pair.service.page('/ready')).status === 200;

  it('is there for callers that an intention allows, and goes for none of them', async () => {
    await start();
    for (const method of [inference.RepositoryModelUnload, inference.RepositoryModelLoad]) {
      const { code, details } = await failure(command(method));
      assert.equal(code, status.PERMISSION_DENIED);
      assert.match(details, /app may not change the models of testing: an intention has to name/);
    }
    assert.equal((await client.call(inference.ModelReady, { name: 'digits' })).ready, true);
  });

  it('is no longer ready at its sidecar, and is again once it is loaded, in the same process', async () => {
    await start([REPOSITORY_LOAD, REPOSITORY_UNLOAD]);
    const restarts = () => pair.service.metric('outrider_model_restarts_total');
    const before = await restarts();
    await command(inference.RepositoryModelUnload);
    await until('the sidecar is not ready', async () => !(await isReady()), 30_000);
    await command(inference.RepositoryModelLoad);
    await until('the sidecar is ready', isReady, 30_000);
    assert.equal((await client.call(inference.ModelReady, { name: 'digits' })).ready, true);
    assert.equal(await restarts(), before);
  });
});
