/** Where the unit test of a source file belongs. */
import type { Complaints } from './rules.js';
import type { SourceFile } from './source-file.js';

const UNIT_ROOT = 'test/unit/';
const UNIT_TEST = /^test\/unit\/(.*\/)?([^/.]+)(\.[^/]+)?\.test\.ts$/;

/** `test/unit/X/Y.test.ts` and `test/unit/X/Y.ASPECT.test.ts` belong to `sidecar/X/Y.ts`, or to `X/Y.ts`. */
export function unitTestsWithoutSource(files: readonly SourceFile[]): Complaints {
  const known = new Set(files.map(({ path }) => path));
  return files
    .filter(({ path }) => path.startsWith(UNIT_ROOT) && path.endsWith('.test.ts') && !sourceOf(path, known))
    .map(({ path }) => {
      const name = UNIT_TEST.exec(path)?.slice(1, 3).join('') ?? path.slice(UNIT_ROOT.length);
      return `${path}: tests neither sidecar/${name}.ts nor ${name}.ts; move it to where its source file is`;
    });
}

function sourceOf(test: string, known: ReadonlySet<string>): string | undefined {
  const [, folder = '', name = ''] = UNIT_TEST.exec(test) ?? [];
  const source = `${folder}${name}.ts`;
  return [`sidecar/${source}`, source].find((path) => known.has(path));
}
