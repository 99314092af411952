import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** One model of a directory `DIR/<name>/<version>`. */
export interface ListedModel {
  readonly name: string;
  readonly version: string;
  /** Path of its `model.yaml`, which may not exist. */
  readonly card: string;
}

/**
 * The models of a directory, each with its highest numbered version, sorted by name. Models without
 * a version are omitted.
 *
 * @throws Error of one line when `root` cannot be read.
 */
export function listModels(root: string): ListedModel[] {
  return listModelFolders(root).filter(({ version }) => version !== '');
}

/** As `listModels`, with models without a version (`''`): the server reports them as not served. */
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
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    // A symbolic link may lead to a directory; a broken one fails when it is read.
    return entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink()).map(({ name }) => name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`model directory ${folder} cannot be read: ${code}`);
  }
}
