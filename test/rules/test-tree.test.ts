/** The layout of test/: unit tests mirror the sources, and the kit has an index. */
import assert from 'node:assert/strict';
import { misnamedInIndex } from '../kit/source-tree/kit-index.js';
import {
  sourcesWithoutTest,
  unitTestsWithoutSource,
  wrongCoveredElsewhere,
} from '../kit/source-tree/mirror.js';
import { none } from '../kit/source-tree/rules.js';
import { read, readSourceFile, readTree, treeOf } from '../kit/source-tree/source-file.js';
import { COVERED_ELSEWHERE } from '../unit/covered-elsewhere.js';

const files = readTree();
const kitFiles = files.map(({ path }) => path).filter((path) => path.startsWith('test/kit/'));

describe('the tests', () => {
  it('in test/unit/ lie where the source file that they test lies', () =>
    none(unitTestsWithoutSource(files)));
  it('in test/unit/ include one for each source file with logic, or say which test covers it', () =>
    none(sourcesWithoutTest(files, COVERED_ELSEWHERE)));
  it('that cover a source file from elsewhere exist, load it and are needed', () =>
    none(wrongCoveredElsewhere(files, COVERED_ELSEWHERE)));
  it('use helpers that test/kit/README.md explains, each of them and no others', () =>
    none(misnamedInIndex(read('test/kit/README.md'), kitFiles)));
});

describe('the rules for the test tree, on a tree that breaks them', () => {
  const BRANCHES = 'export const f = (a: string) => a || a || a || a || a || a || a;';

  it('count as decisions what branches, and not what is optional', () => {
    const decisions = (source: string): number => readSourceFile('a.ts', source).decisions;
    assert.equal(decisions('if (a && b || c) d(); else e();'), 3);
    assert.equal(decisions('for (const a of b) while (c) d();'), 2);
    assert.equal(decisions('switch (a) { case 1: case 2: default: }'), 2);
    assert.equal(decisions('try { a(); } catch { b(); }'), 1);
    assert.equal(decisions('const a = b ? (c ?? d) : e;'), 2);
    assert.equal(decisions('interface A { b?: C; if: D } f(a?.b, c.catch(d)); const g = (h?: I) => h;'), 0);
    assert.equal(decisions('const a = "if"; // if && ||\nconst b = c & d | e;'), 0);
  });

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

  it('find source files with logic and without a test, and say where it belongs', () => {
    const files = treeOf({
      'sidecar/a/plain.ts': 'export const a = b ? c : d;',
      'sidecar/a/tested.ts': BRANCHES,
      'test/unit/a/tested.test.ts': '',
      'sidecar/a/listed.ts': BRANCHES,
      'sidecar/a/untested.ts': BRANCHES,
      'test/kit/helper.ts': BRANCHES,
    });
    assert.deepEqual(sourcesWithoutTest(files, { 'sidecar/a/listed.ts': 'test/stack/a.test.ts' }), [
      'sidecar/a/untested.ts: has 6 decisions and no unit test; add test/unit/a/untested.test.ts, or a line in test/unit/covered-elsewhere.ts',
    ]);
  });

  it('find lines about coverage that are not needed or not true', () => {
    const files = treeOf({
      'sidecar/a.ts': BRANCHES,
      'sidecar/plain.ts': '',
      'sidecar/tested.ts': BRANCHES,
      'test/unit/tested.test.ts': '',
      'test/stack/through.test.ts': "import './helper.js';",
      'test/stack/helper.ts': "import '../../sidecar/a.js';",
      'test/stack/other.test.ts': '',
    });
    const complaints = (path: string, test: string): string[] =>
      wrongCoveredElsewhere(files, { [path]: test }).map((complaint) => complaint.split(': ')[1]!);
    assert.deepEqual(complaints('sidecar/a.ts', 'test/stack/through.test.ts'), []);
    assert.deepEqual(complaints('sidecar/a.ts', 'test/stack/other.test.ts'), [
      'sidecar/a.ts is to be covered by test/stack/other.test.ts, which never loads it',
    ]);
    assert.deepEqual(complaints('sidecar/a.ts', 'test/gone.test.ts'), [
      'sidecar/a.ts is to be covered by test/gone.test.ts, which does not exist',
    ]);
    for (const [path, what] of [
      ['sidecar/gone.ts', 'does not exist'],
      ['sidecar/plain.ts', 'has no logic (any more); remove the line'],
      ['sidecar/tested.ts', 'has a unit test of its own path; remove the line'],
    ] as const)
      assert.deepEqual(complaints(path, 'test/stack/through.test.ts'), [`${path} ${what}`]);
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
