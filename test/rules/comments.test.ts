/** Comments and texts as rules: every export says what it is, sentences name things, and there are enough of them. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { commentShare, countLines, sumOfLines } from '../../tools/line-counts.js';
import { packageRoot } from '../kit/process/package-root.js';
import { vagueSubjects, withoutDocstring } from '../kit/source-tree/comments.js';
import { none } from '../kit/source-tree/rules.js';
import { filesBelow, ROOTS, read } from '../kit/source-tree/source-file.js';

/** Of the lines that are not blank. */
const LEAST_SHARE = 1 / 6;

/** The rule itself and its test have the words that it forbids. */
const OWN_FILES = ['test/rules/comments.test.ts', 'test/kit/source-tree/comments.ts'];

const sources = ROOTS.flatMap((root) => filesBelow(root, /\.ts$/));
const documents = [
  ...readdirSync(packageRoot).filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md'),
  ...['docs', 'mesh-config', 'services', 'sidecar', 'test'].flatMap((root) =>
    filesBelow(root, /\.(md|ya?ml)$/),
  ),
];

const production = sources.filter((path) => !path.startsWith('test/'));

describe('the comments', () => {
  it('stand directly above every exported class and function', () =>
    none(production.flatMap((path) => withoutDocstring(path, read(path)))));

  it('are at least one in six lines of sidecar/', () => {
    const own = production.filter((path) => path.startsWith('sidecar/'));
    const counts = sumOfLines(own.map((path) => countLines(read(path))));
    const { comments, lines, blank } = counts;
    assert.ok(commentShare(counts) >= LEAST_SHARE, `${comments} of ${lines - blank} lines`);
  });

  it('name things, as do messages, test titles and documents', () =>
    none(
      [...sources, ...documents]
        .filter((path) => !OWN_FILES.includes(path))
        .flatMap((path) => vagueSubjects(path, read(path))),
    ));
});

describe('the rules about comments', () => {
  it('want a docstring directly above an export, and one for all overloads', () => {
    const source = [
      '/** a */',
      'export class A {}',
      '',
      'export async function b(): Promise<void> {}',
      '// c',
      'export abstract class C {}',
      '/** d */',
      'export function d(e: string): void;',
      'export function d(e: unknown): void {}',
      'export const f = 1;',
    ].join('\n');
    assert.deepEqual(withoutDocstring('x.ts', source), [
      'x.ts:4: function b has no docstring directly above it',
      'x.ts:6: class C has no docstring directly above it',
    ]);
  });

  it('find a subject that hides what is meant, and no word that only contains one', () => {
    assert.deepEqual(vagueSubjects('x.ts', 'Who calls?\nThe whole caller.\nfor nobody'), [
      'x.ts:1: says "Who"; name the thing',
      'x.ts:3: says "nobody"; name the thing',
    ]);
  });
});
