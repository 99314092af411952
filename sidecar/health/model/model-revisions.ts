import { createHash } from 'node:crypto';
import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Revision } from '../../core/models/settled-listing.js';
import { listModelFolders } from './model-directory.js';

/** Files of a version that are looked at, at most: what lies beyond them changes nothing. */
const MAX_FILES = 1_000;

/**
 * Every version of every model in `root`, with a fingerprint of its files (names, sizes, times of change). A folder without
 * a version is one with the version `''`, whose server says why it is not served.
 *
 * @throws Error of one line when `root` cannot be read.
 */
export function listRevisions(root: string): readonly Revision[] {
  return listModelFolders(root).flatMap(({ name, versions }) =>
    versions.length === 0
      ? [{ name, version: '', fingerprint: '' }]
      : versions.map((version) => ({ name, version, fingerprint: fingerprintOf(join(root, name, version)) })),
  );
}

/** Changes with every change of a file below `folder`; a file that goes away meanwhile counts as not there. */
function fingerprintOf(folder: string): string {
  const hash = createHash('sha256');
  const open = [folder];
  let files = 0;
  for (let path = open.pop(); path !== undefined && files < MAX_FILES; path = open.pop()) {
    for (const entry of entriesOf(path)) {
      const child = join(path, entry.name);
      const stat = statSync(child, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (stat.isDirectory()) open.push(child);
      hash.update(
        `${child}\0${stat.isDirectory() ? 'folder' : `${stat.size} ${stat.mtimeMs} ${stat.ino}`}\0`,
      );
      files++;
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** A folder that has just gone has no files. */
function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}
