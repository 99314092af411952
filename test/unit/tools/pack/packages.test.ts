import assert from 'node:assert/strict';
import { modelsPackage, modelsReadme, programPackage } from '../../../../tools/pack/packages.js';

const TREE = {
  name: 'outrider',
  version: '1.2.3',
  description: 'd',
  license: 'Apache-2.0',
  type: 'module',
  engines: { node: '>=20' },
  bin: { outrider: 'dist/sidecar/main.js' },
  dependencies: { yaml: '^2.0.0', zod: '^4.0.0' },
  optionalDependencies: { 'onnxruntime-node': '^1.30.0' },
  private: true,
};

describe('the packages', () => {
  it('outrider depends on what is imported at run time only; the inference runtime is a peer that npm does not install', () => {
    const made = programPackage(TREE, ['yaml']) as Record<string, unknown>;
    assert.deepEqual(made['dependencies'], { yaml: '^2.0.0' });
    assert.deepEqual(made['peerDependencies'], { 'onnxruntime-node': '^1.30.0' });
    assert.deepEqual(made['peerDependenciesMeta'], { 'onnxruntime-node': { optional: true } });
    assert.ok(!('private' in made) && !('optionalDependencies' in made));
  });

  it('both say where they are built, which a statement of provenance needs, and are public', () => {
    const repository = 'https://forge.example/someone/outrider';
    for (const made of [programPackage(TREE, [], repository), modelsPackage(TREE, repository)]) {
      const { publishConfig, ...said } = made as Record<string, unknown>;
      assert.deepEqual(publishConfig, { access: 'public', provenance: true });
      assert.deepEqual(said['repository'], { type: 'git', url: `git+${repository}.git` });
      assert.deepEqual(said['bugs'], { url: `${repository}/issues` });
    }
    assert.ok(!('repository' in programPackage(TREE, [])));
    assert.throws(() => modelsPackage(TREE, 'outrider'), /--repository: found 'outrider', expected https:/);
  });

  it('a package that is imported and not named in package.json is an error', () => {
    assert.throws(() => programPackage(TREE, ['yaml', 'gone']), /gone is imported/);
  });

  it('outrider-models brings the runtime, for outrider of the same version alone', () => {
    assert.deepEqual(modelsPackage(TREE)['peerDependencies'], {
      outrider: '1.2.3',
      'onnxruntime-node': '^1.30.0',
    });
    assert.match(modelsReadme(TREE), /npm install --ignore-scripts .*outrider-models-1\.2\.3\.tgz/);
  });
});
