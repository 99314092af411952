/**
 * The models of a directory: DIR/<name>/<version>/model.onnx with model.yaml beside it. Which version is served is
 * decided here: the highest number. Finding is not loading: what is wrong with one model never hides another.
 */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A model as its directory shows it, before anything in it is read. */
export interface Found {
  readonly name: string;
  /** Empty when there is no version directory. */
  readonly version: string;
  readonly directory: string;
  /** Why the model cannot be looked at; empty when it can. */
  readonly problem: string;
}

/** The model directory cannot be read at all, or lacks a model that was asked for. */
export class RepositoryError extends Error {}

/**
 * The models of `found` that `names` lists, in the order of `found`; all of them when it lists none. `NAME=VERSION` is one
 * version of a model, and a version that is not there is the problem of that model.
 * Throws RepositoryError that names what is missing and what is there.
 */
export function chooseModels(root: string, found: readonly Found[], names: readonly string[]): Found[] {
  if (names.length === 0) return [...found];
  const wanted = new Map(names.map((name) => wantedOf(name, found)));
  const missing = [...wanted.keys()].filter((name) => !found.some((f) => f.name === name));
  if (missing.length > 0) {
    const there = found.length === 0 ? 'no model' : quoted(found.map((f) => f.name));
    throw new RepositoryError(`--model: found ${quoted(missing)}; model directory ${root} has ${there}`);
  }
  return found.flatMap((f) => {
    const version = wanted.get(f.name);
    if (version === undefined) return [];
    return [version === '' || version === f.version ? f : versionOf(root, f.name, version)];
  });
}

/** A name as it is, where a model has it; else up to the last `=`, and the version after that. */
function wantedOf(text: string, found: readonly Found[]): [string, string] {
  const [, name, version] = /^(.+)=([1-9]\d*|)$/.exec(text) ?? [];
  if (name === undefined || version === undefined || found.some((f) => f.name === text)) return [text, ''];
  return [name, version];
}

function versionOf(root: string, name: string, version: string): Found {
  const directory = join(root, name, version);
  const problem = isDirectory(directory) ? '' : `no version directory, expected ${directory}`;
  return { name, version, directory, problem };
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ');
}

/** Every model directory, sorted by name. Throws RepositoryError when `root` is no directory. */
export function findModels(root: string): Found[] {
  let names: string[];
  try {
    names = readdirSync(root);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new RepositoryError(`model directory ${root} does not exist`);
    if (code === 'ENOTDIR')
      throw new RepositoryError(`${root} is not a directory, expected one with <name>/<version>/model.onnx`);
    throw new RepositoryError(`model directory ${root} cannot be read: ${code}`);
  }
  return names
    .filter((name) => !name.startsWith('.'))
    .sort()
    .map((name) => findModel(root, name))
    .filter((found) => found !== undefined);
}

/** undefined: no model, as it is no directory. What goes wrong is told as the model's problem. */
function findModel(root: string, name: string): Found | undefined {
  const directory = join(root, name);
  try {
    if (!isDirectory(directory)) return undefined;
    const version = versionsIn(directory).at(-1) ?? '';
    const problem = version === '' ? 'no version directory, expected <name>/1/model.onnx' : '';
    return { name, version, directory: join(directory, version), problem };
  } catch (error) {
    const problem = `${directory} cannot be read: ${(error as NodeJS.ErrnoException).code}`;
    return { name, version: '', directory, problem };
  }
}

/** Numbered subdirectories of a model, the lowest first. Throws where it cannot be read. */
export function versionsIn(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^[1-9]\d*$/.test(name) && isDirectory(join(directory, name)))
    .sort(compareVersions);
}

export function compareVersions(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
