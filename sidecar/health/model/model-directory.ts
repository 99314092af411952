import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compareVersions } from '../../core/models/version-policy.js';

/** One model of a directory `DIR/<name>/<version>`. */
export interface ListedModel {
  readonly name: string;
  readonly version: string;
  /** Path of its `model.yaml`, which may not exist. */
  readonly card: string;
}

/** A model with all its versions, the highest last. */
export interface ModelFolder extends ListedModel {
  readonly versions: readonly string[];
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
export function listModelFolders(root: string): ModelFolder[] {
  return foldersOf(root)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .map((name) => {
      const versions = versionsOf(join(root, name));
      const version = versions.at(-1) ?? '';
      return { name, version, versions, card: join(root, name, version, 'model.yaml') };
    });
}

function versionsOf(folder: string): string[] {
  return foldersOf(folder)
    .filter((version) => /^[1-9]\d*$/.test(version))
    .sort(compareVersions);
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
