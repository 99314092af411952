/**
 * The models of a directory, DIR/<name>/<version>: what is served of it is the highest numbered version of each.
 */

import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface ListedModel {
  readonly name: string;
  readonly version: string;
  /** Its card, whether or not it is there. */
  readonly card: string;
}

/** Sorted by name; a model without a version is left out. Throws an Error of one line when `root` cannot be read. */
export function listModels(root: string): ListedModel[] {
  return listModelFolders(root).filter(({ version }) => version !== '');
}

/** As `listModels`, with those that have no version: a server says of them that they are not served, and why. */
export function listModelFolders(root: string): ListedModel[] {
  return foldersOf(root)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .map((name) => {
      const version = latestVersion(join(root, name)) ?? '';
      return { name, version, card: join(root, name, version, 'model.yaml') };
    });
}

function latestVersion(folder: string): string | undefined {
  return foldersOf(folder)
    .filter((version) => /^[1-9]\d*$/.test(version))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
    .at(-1);
}

function foldersOf(folder: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`model directory ${folder} cannot be read: ${code}`);
  }
  // A link may lead to a directory too; what leads nowhere fails when it is read.
  return entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink()).map(({ name }) => name);
}
