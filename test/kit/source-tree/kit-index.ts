import type { Complaints } from './rules.js';

const INDEX = 'test/kit/README.md';
const FOLDER = 'test/kit/';

/**
 * Compares the index of the kit with the files of the kit. The index has a heading `## FOLDER/` for each folder and below
 * it an item `` - `FILE`: what it is for `` for each file. A file's own test, `x.test.ts`, goes with `x.ts`.
 */
export function misnamedInIndex(index: string, paths: readonly string[]): Complaints {
  const files = new Set(
    paths.filter((path) => !path.endsWith('.test.ts')).map((path) => path.slice(FOLDER.length)),
  );
  const named = new Set<string>();
  const complaints: string[] = [];
  let folder = '';
  for (const line of index.split('\n')) {
    folder = /^## `?([\w/-]+\/)`?$/.exec(line)?.[1] ?? folder;
    const name = /^- `([^`]+)`: /.exec(line)?.[1];
    if (name === undefined) continue;
    const path = folder + name;
    if (named.has(path)) complaints.push(`${INDEX}: names ${path} twice`);
    else if (!files.has(path)) complaints.push(`${INDEX}: names ${path}, which does not exist`);
    named.add(path);
  }
  const missing = [...files].filter((path) => !named.has(path));
  return [...complaints, ...missing.map((path) => `${INDEX}: does not name ${path}`)];
}
