import assert from 'node:assert/strict';
import { runningTarget } from '../../../../sidecar/cli/infer/flags.js';

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

  it('is not guessed among several of other names', () => {
    assert.throws(() => runningTarget('iris', [demo]), {
      message:
        'no upstream here is called "iris"; there are digits at 127.0.0.1:8800, lite at 127.0.0.1:8801: which one, by --target ADDR?',
    });
  });

  it('is not guessed among two meshes that have an upstream of this name', () => {
    const two = mesh('two.yaml', { digits: '127.0.0.1:9000' });
    assert.equal(runningTarget('lite', [demo, two]), '127.0.0.1:8801');
    assert.throws(() => runningTarget('digits', [demo, two]), {
      message:
        'several meshes here have an upstream "digits": 127.0.0.1:8800 of demo.yaml, 127.0.0.1:9000 of two.yaml: which one, by --target ADDR?',
    });
  });
});
