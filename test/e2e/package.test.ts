/**
 * The package as it is installed: packed by npm, unpacked into an empty folder, with its dependencies beside it, first
 * without the optional inference runtime, as npm leaves it out where its install script fails.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../kit/process/package-root.js';
import {
  installPacked,
  linkDependency,
  type Packed,
  readPackage,
  run,
} from '../kit/process/packed-package.js';

describe('the package', function () {
  this.timeout(90_000);
  let folder: string;
  let packed: Packed;
  let installed: string;

  const models = () => path.join(installed, 'services/digits/models');
  const outrider = (args: readonly string[], stopAt?: RegExp) =>
    run(process.execPath, [path.join(installed, 'dist/sidecar/main.js'), ...args], folder, stopAt);

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'outrider-package-'));
    ({ packed, installed } = await installPacked(folder));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has what runs and what it runs on, and no tests, sources or source maps', () => {
    const paths = packed.files.map((file) => file.path);
    const foreign = paths.filter((name) => /(^|\/)test\/|\.test\.|\.map$|\.ts$/.test(name));
    assert.deepEqual(foreign, []);
    for (const needed of [
      'dist/sidecar/main.js',
      'dist/bundle/program.js',
      'dist/bundle/LICENCES.txt',
      'dist/services/model-server/main.js',
      'proto/inference.proto',
      'proto/health.proto',
      'services/digits/models/digits/1/model.onnx',
      'services/digits/samples/seven.png',
      'dist/services/tokens/tokens.js',
      'services/tokens/models/tokens/1/model.onnx',
      'mesh-config/demo.yaml',
      'README.md',
      'LICENSE',
    ])
      assert.ok(paths.includes(needed), needed);
    const sizes = `${paths.length} files, ${packed.size} bytes packed, ${packed.unpackedSize} unpacked`;
    assert.ok(paths.length < 850 && packed.size < 3_000_000, sizes);
  });

  it('does not depend on the inference runtime, whose install script may fail', () => {
    const { dependencies, optionalDependencies } = readPackage(installed);
    assert.ok(!('onnxruntime-node' in dependencies));
    assert.match(optionalDependencies['onnxruntime-node'], /^\^\d+\.\d+\.\d+$/);
  });

  it('says its version and its commands, and reads the files it comes with', async () => {
    const { version } = readPackage(packageRoot);
    assert.deepEqual(await outrider(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
    assert.match((await outrider(['--help'])).stdout, /serve .*\n/);
    for (const file of readdirSync(path.join(installed, 'mesh-config'))) {
      if (!file.endsWith('.yaml')) continue;
      const { code, stderr } = await outrider(['validate', path.join(installed, 'mesh-config', file)]);
      assert.equal(code, 0, `${file}: ${stderr}`);
    }
  });

  it('says how to install the runtime when there is none, before anything is started', async () => {
    const says =
      /^outrider: the inference runtime \(onnxruntime-node\) is not installed, .*: npm install --ignore-scripts onnxruntime-node@\d+\.\d+\.\d+\n$/;
    for (const args of [
      ['serve', '--models', models()],
      ['up', path.join(installed, 'mesh-config/demo.yaml')],
    ]) {
      const { code, stderr } = await outrider(args);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
    }
  });

  it('serves the models it comes with once the runtime is there', async () => {
    linkDependency(folder, 'onnxruntime-node');
    for (const name of ['digits', 'tokens']) {
      const served = ['serve', '--models', path.join(installed, 'services', name, 'models')];
      const listen = `unix:${path.join(folder, name)}`;
      const { code, stderr } = await outrider([...served, '--listen', listen], / ready in |NOT READY/);
      assert.match(stderr, new RegExp(`${name} version 1: ready in \\d+ ms, golden input matched`));
      assert.equal(code, 0, stderr);
    }
  });
});
