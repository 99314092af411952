import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { staleOutput } from '../../../tools/stale-output.js';
import { Scratch } from '../../kit/process/outrider.js';

describe('compiled files without a source', () => {
  const scratch = new Scratch();
  const write = (...files: readonly string[]) => {
    for (const file of files) scratch.write(file, '');
  };

  after(() => scratch.remove());

  it('are code and its source map, and no file that the compiler did not make', () => {
    for (const folder of ['core', 'dist/core', 'dist/gone'])
      mkdirSync(join(scratch.path, folder), { recursive: true });
    write('core/kept.ts', 'dist/core/kept.js', 'dist/core/kept.js.map', 'dist/gone/model.onnx');
    assert.deepEqual(staleOutput(scratch.path), []);
    const stale = ['dist/core/moved.js', 'dist/core/moved.js.map', 'dist/gone/old.js'];
    write(...stale);
    assert.deepEqual(
      staleOutput(scratch.path).sort(),
      stale.map((file) => join(scratch.path, file)),
    );
  });
});
