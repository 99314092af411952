import { readFileSync } from 'node:fs';

/** What a page is made of beside its content. */
export interface PageAssets {
  readonly style: string;
  readonly script: string;
}

/** Where the build puts it (tools/bundle.ts). */
const FOLDER = new URL('../../../bundle/', import.meta.url);
let loaded: PageAssets | undefined;

/** Style and script of the pages, read at the first page. */
export function pageAssets(): PageAssets {
  const read = (name: string) => readFileSync(new URL(name, FOLDER), 'utf8').trim();
  loaded ??= { style: read('page.css'), script: read('page.js') };
  return loaded;
}
