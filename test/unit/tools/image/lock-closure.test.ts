import assert from 'node:assert/strict';
import { lockClosure } from '../../../../tools/image/lock-closure.js';

describe('lockClosure', () => {
  const lock = {
    packages: {
      '': { dependencies: { a: '1' } },
      'node_modules/a': { dependencies: { b: '1', '@s/c': '1' } },
      'node_modules/a/node_modules/b': { dependencies: { d: '1' } },
      'node_modules/b': {},
      'node_modules/@s/c': { dependencies: { a: '1', b: '1' } },
      'node_modules/d': {},
      'node_modules/e': { dependencies: { gone: '1' } },
    },
  };

  it('follows dependencies through circles, and takes the package below before the one that all share', () => {
    assert.deepEqual(lockClosure(lock, ['a']), [
      'node_modules/@s/c',
      'node_modules/a',
      'node_modules/a/node_modules/b',
      'node_modules/b',
      'node_modules/d',
    ]);
  });

  it('fails for a package that is not there', () => {
    assert.throws(() => lockClosure(lock, ['e']), /no gone, which node_modules\/e needs/);
  });
});
