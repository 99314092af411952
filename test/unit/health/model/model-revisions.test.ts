/** The versions of a repository, and what shows that one of them has changed. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { listRevisions } from '../../../../sidecar/health/model/model-revisions.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('the revisions of a repository', () => {
  const scratch = scratchForEach();
  const at = (...path: string[]): string => join(scratch.path, ...path);
  const put = (path: string): void => {
    mkdirSync(at(path), { recursive: true });
    writeFileSync(at(path, 'model.onnx'), 'model');
  };
  const said = (): string[] => listRevisions(scratch.path).map(({ name, version }) => `${name}/${version}`);
  const fingerprint = (): string => listRevisions(scratch.path)[0]!.fingerprint;

  it('are all versions of all models, by number', () => {
    for (const path of ['b/10', 'b/9', 'a/1', 'a/latest', '.git/1']) put(path);
    mkdirSync(at('empty'));
    writeFileSync(at('README'), '');
    assert.deepEqual(said(), ['a/1', 'b/9', 'b/10', 'empty/']);
  });

  it('change with each change of a file, at any depth, and with nothing else', () => {
    put('a/1');
    mkdirSync(at('a/1/tokens'));
    writeFileSync(at('a/1/tokens/words.txt'), 'one');
    const seen = new Set([fingerprint()]);
    assert.ok(seen.has(fingerprint()));
    const changes = [
      () => appendFileSync(at('a/1/model.onnx'), 'x'),
      () => appendFileSync(at('a/1/tokens/words.txt'), ' two'),
      () => renameSync(at('a/1/tokens/words.txt'), at('a/1/tokens/names.txt')),
      () => rmSync(at('a/1/tokens'), { recursive: true }),
      () => utimesSync(at('a/1/model.onnx'), 1, 1),
    ];
    for (const change of changes) {
      change();
      assert.equal(seen.has(fingerprint()), false);
      seen.add(fingerprint());
    }
    put('b/1');
    assert.ok(seen.has(fingerprint()), 'another model is another matter');
  });

  it('skip what leads nowhere', () => {
    put('a/1');
    symlinkSync('/nowhere/at/all', at('a/1/link'));
    assert.equal(fingerprint().length, 16);
  });

  it('are refused in one line where the directory is gone', () => {
    assert.throws(() => listRevisions(at('gone')), /^Error: model directory .*gone cannot be read: ENOENT$/);
  });
});
