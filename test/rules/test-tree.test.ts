/** The layout of test/: unit tests mirror the sources, and the kit has an index. */
import assert from 'node:assert/strict';
import { misnamedInIndex } from '../kit/source-tree/kit-index.js';
import { unitTestsWithoutSource } from '../kit/source-tree/mirror.js';
import { none } from '../kit/source-tree/rules.js';
import { read, readTree, treeOf } from '../kit/source-tree/source-file.js';

const files = readTree();
const kitFiles = files.map(({ path }) => path).filter((path) => path.startsWith('test/kit/'));

describe('the tests', () => {
  it('in test/unit/ lie where the source file that they test lies', () =>
    none(unitTestsWithoutSource(files)));
  it('use helpers that test/kit/README.md explains, each of them and no others', () =>
    none(misnamedInIndex(read('test/kit/README.md'), kitFiles)));
});

describe('the rules for the test tree, on a tree that breaks them', () => {
  it('find unit tests without a source file, by folder, name and aspect', () => {
    const files = treeOf({
      'sidecar/a/b.ts': '',
      'proto/c.ts': '',
      'test/unit/a/b.test.ts': '',
      'test/unit/a/b.memory.test.ts': '',
      'test/unit/proto/c.test.ts': '',
      'test/unit/b.test.ts': '',
      'test/unit/a/gone.some.test.ts': '',
    });
    assert.deepEqual(
      unitTestsWithoutSource(files).map((complaint) => complaint.split(';')[0]),
      [
        'test/unit/b.test.ts: tests neither sidecar/b.ts nor b.ts',
        'test/unit/a/gone.some.test.ts: tests neither sidecar/a/gone.ts nor a/gone.ts',
      ],
    );
  });

  it('find helpers that the index does not name, names twice, or names although they are gone', () => {
    const index = '## a/\n\n- `b.ts`: b\n- `gone.ts`: -\n- `c.ts`: c\n- `c.ts`: again\n';
    const paths = ['b.ts', 'b.test.ts', 'c.ts', 'new.ts'].map((name) => `test/kit/a/${name}`);
    assert.deepEqual(misnamedInIndex(index, paths), [
      'test/kit/README.md: names a/gone.ts, which does not exist',
      'test/kit/README.md: names a/c.ts twice',
      'test/kit/README.md: does not name a/new.ts',
    ]);
  });
});
