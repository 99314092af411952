/** `versions: all` with real processes, one for each version: what ModelMetadata and ModelConfig tell a caller of the others. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { protocols } from '../../../proto/load.js';
import { DIGITS_MODELS, Mesh, Scratch } from '../../kit/process/outrider.js';
import { TestClient } from '../../kit/service/model-server.js';

describe('a service that serves all versions', function () {
  this.timeout(60_000);

  const scratch = new Scratch();
  let mesh: Mesh;
  let client: TestClient;

  before(async () => {
    const digits = join(scratch.path, 'models/digits');
    for (const version of ['1', '2'])
      cpSync(join(DIGITS_MODELS, 'digits/1'), join(digits, version), { recursive: true });
    mesh = Mesh.start(`
services:
  mine: { models: ${join(scratch.path, 'models')}, versions: all }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { mine: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: mine, action: allow }]
`);
    client = new TestClient((await mesh.ready()).call['mine']!);
  });
  after(async () => {
    client?.close();
    await mesh.discard();
    scratch.remove();
  });

  for (const [version, versions] of [
    ['', ['1', '2']],
    // As Triton: who names a version is told of that one.
    ['1', ['1']],
    ['2', ['2']],
  ] as const)
    it(`tells ${versions.join(' and ')} in ModelMetadata and the policy in ModelConfig, asked for version '${version}'`, async () => {
      const { inference } = protocols();
      const metadata = await client.call(inference.ModelMetadata, { name: 'digits', version });
      assert.deepEqual(metadata.versions, versions);
      const { config } = await client.call(inference.ModelConfig, { name: 'digits', version });
      assert.deepEqual(config!.version_policy!.all, {});
    });
});
