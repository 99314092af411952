import assert from 'node:assert/strict';
import { inferFlags, runningTarget } from '../../../../sidecar/cli/infer/flags.js';

describe('the target of an inference that names none', () => {
  const mesh = (meshFile: string, call: Readonly<Record<string, string>>) => ({
    meshFile,
    pid: 1,
    admin: {},
    call,
  });
  const demo = mesh('demo.yaml', { digits: '127.0.0.1:8800', lite: '127.0.0.1:8801' });

  it('is the upstream that is called as the model, or the only one', () => {
    assert.equal(runningTarget('lite', [demo]), '127.0.0.1:8801');
    assert.equal(runningTarget('any', [mesh('one.yaml', { mine: '127.0.0.1:8850' })]), '127.0.0.1:8850');
    assert.equal(runningTarget('any', []), undefined);
  });

  it('is in the mesh of --mesh, and in no other', () => {
    const meshesOf = (file?: string) =>
      [demo, mesh('two.yaml', { digits: '127.0.0.1:9000' })].filter(({ meshFile }) => meshFile === file);
    const flags = (mesh: string) => inferFlags('digits', { input: [], metadata: [], mesh }, meshesOf);
    assert.equal(flags('two.yaml').target, '127.0.0.1:9000');
    assert.equal(flags('demo.yaml').target, '127.0.0.1:8800');
    assert.throws(() => flags('three.yaml'), { message: 'no mesh of three.yaml runs here' });
    assert.throws(
      () => inferFlags('digits', { input: [], metadata: [], mesh: 'two.yaml', target: '127.0.0.1:1' }),
      { message: 'found both --target and --mesh; expected one of them' },
    );
  });

  it('is not guessed among several of other names', () => {
    assert.throws(() => runningTarget('iris', [demo]), {
      message:
        'no upstream here is called "iris"; there are digits at 127.0.0.1:8800, lite at 127.0.0.1:8801: name one with --target ADDR or --mesh FILE',
    });
  });

  it('is not guessed among two meshes that have an upstream of this name', () => {
    const two = mesh('two.yaml', { digits: '127.0.0.1:9000' });
    assert.equal(runningTarget('lite', [demo, two]), '127.0.0.1:8801');
    assert.throws(() => runningTarget('digits', [demo, two]), {
      message:
        'several meshes here have an upstream "digits": 127.0.0.1:8800 of demo.yaml, 127.0.0.1:9000 of two.yaml: name one with --target ADDR or --mesh FILE',
    });
  });
});
