import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../../../../sidecar/cli/package-info.js';
import { agentPorts, consulOf, withoutEffect } from '../../../../sidecar/cli/up/mesh-consul.js';
import { PortAllocator } from '../../../../sidecar/cli/up/port-allocator.js';
import { parseMeshFile } from '../../../../sidecar/config/file/parse.js';
import type { MeshConfig } from '../../../../sidecar/config/model.js';
import { meshFile } from '../../../kit/config/mesh-file.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

const OURS = 'http://127.0.0.1:18500';

describe('the Consul of a mesh', () => {
  function parse(text: string): MeshConfig {
    const parsed = parseMeshFile(text, 'mesh.yaml');
    assert.ok(parsed.ok, JSON.stringify(parsed));
    return parsed.config;
  }
  const mesh = (options: Parameters<typeof meshFile>[0] = {}) => parse(meshFile(options));
  const allocator = (): PortAllocator => {
    const made = new PortAllocator();
    afterTest(() => made.close());
    return made;
  };
  const implied = () => parse('services: { digits: { models: m } }\nconsul: {}');

  it('is none unless the file or the command line says otherwise', () => {
    assert.equal(consulOf(mesh(), undefined), undefined);
    assert.equal(consulOf(mesh({ more: 'consul: {}' }), undefined)?.waitMs, 300_000);
    assert.equal(consulOf(mesh(), OURS)?.address, OURS);
  });

  it('is our own with --consul dev, which gets no token and no certificates of the other one', () => {
    const more =
      'consul: { address: "https://consul.invalid:8501", token_file: /t, tls: { ca: /ca.pem }, grace: 5s }';
    const consul = consulOf(mesh({ more }), OURS);
    assert.equal(consul?.address, OURS);
    assert.equal(consul.tokenFile, undefined);
    assert.deepEqual(consul.tls, {});
    assert.equal(consul.graceMs, 5_000, 'what else the file says holds');
  });

  it('says what of the file has no effect', () => {
    const elsewhere = mesh({ more: 'consul: { address: "http://127.0.0.1:9" }' });
    assert.match(withoutEffect(elsewhere, { ownAgent: true })[0]!, /http:\/\/127\.0\.0\.1:9 is not asked/);
    const [line] = withoutEffect(elsewhere, { ownAgent: false });
    assert.match(line!, /^the intentions in the mesh file have no effect/);
    assert.deepEqual(withoutEffect(mesh({ more: 'consul: {}' }), { ownAgent: true }), []);
    assert.deepEqual(withoutEffect(mesh({ more: 'consul: { intentions: false }' }), { ownAgent: false }), []);
    assert.deepEqual(withoutEffect(mesh(), { ownAgent: false }), []);
    assert.deepEqual(withoutEffect(implied(), { ownAgent: false }), [], 'the file has not said any');
  });

  it('gets ports that the mesh does not want itself', async () => {
    const book = allocator();
    const { http, serfLan, rpc } = await agentPorts(mesh({ listen: '127.0.0.1:8500' }), book);
    assert.notEqual(http, 8500);
    assert.equal(new Set([http, serfLan, rpc]).size, 3);
    await assert.rejects(book.claim('127.0.0.1', http, 'another listener'), /already taken/);
  });

  it('takes port 8500 when it is free, and another when it is not', async () => {
    const first = allocator();
    await first.tryClaim('127.0.0.1', 8500);
    // Its agent does not listen yet.
    await first.release();
    const { http } = await agentPorts(mesh(), allocator());
    assert.notEqual(http, 8500);
    await first.close();
    const again = allocator();
    const isFree = await again.tryClaim('127.0.0.1', 8500);
    await again.close();
    assert.equal((await agentPorts(mesh(), allocator())).http === 8500, isFree);
  });

  it('is brought into the clone', () => assert.ok(existsSync(join(dirname(cacheFolder()), 'package.json'))));
});
