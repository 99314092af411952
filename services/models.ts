/**
 * `npm run models [-- NAME…] [--cache DIR]`: makes the models that are not committed, all of them or those that are named,
 * in `models/NAME/` of the cache (default: `.cache` of the package). One line for each. Exit code 0: all are there; 3: the
 * source of one cannot be had, and the others are there; 1: one could not be made of its source, which is a defect; 2: there
 * is no model of that name.
 */

import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { embed } from './embed/recipe.js';
import { makeModels, type Place } from './fetch/build.js';
import { SourceMissing, titleOf } from './fetch/packages.js';
import type { Recipe } from './fetch/recipe.js';
import { filetype } from './filetype/recipe.js';
import { langid } from './langid/recipe.js';
import { find } from './ocr/find/recipe.js';
import { orient } from './ocr/orient/recipe.js';
import { read } from './ocr/read/recipe.js';
import { vad } from './vad/recipe.js';

/** The models that can be made. */
const RECIPES: readonly Recipe[] = [embed, filetype, langid, find, orient, read, vad];

const ROOT = packageRoot(dirname(fileURLToPath(import.meta.url)));
/** Code that every recipe uses. */
const CODE = [new URL('./fetch/', import.meta.url), new URL('./onnx/', import.meta.url)];
const EXIT = { defect: 1, unknown: 2, missing: 3 };

async function main(args: string[]): Promise<number> {
  const options = { cache: { type: 'string', default: join(ROOT, '.cache') } } as const;
  const { values, positionals: names } = parseArgs({ args, options, allowPositionals: true });
  const unknown = names.filter((name) => !RECIPES.some((recipe) => isMeant(recipe, name)));
  if (unknown.length > 0) {
    const known = RECIPES.map(({ name }) => name).join(', ');
    process.stderr.write(`models: there is no model ${unknown.join(', ')}; there are ${known}\n`);
    return EXIT.unknown;
  }
  const wanted =
    names.length === 0 ? RECIPES : RECIPES.filter((recipe) => names.some((name) => isMeant(recipe, name)));
  let worst = 0;
  for (const recipe of wanted) {
    try {
      process.stdout.write(`${await make(recipe, { cache: values.cache, code: CODE })}\n`);
    } catch (error) {
      const isMissing = error instanceof SourceMissing;
      process.stderr.write(`${recipe.name}: ${error instanceof Error ? error.message : String(error)}\n`);
      worst = worst === EXIT.defect || !isMissing ? EXIT.defect : EXIT.missing;
    }
  }
  return worst;
}

/** By its own name, or by that of the chain it belongs to: `ocr` means `ocr/find`, `ocr/orient` and `ocr/read`. */
function isMeant(recipe: Recipe, name: string): boolean {
  return recipe.name === name || recipe.name.startsWith(`${name}/`);
}

async function make(recipe: Recipe, place: Place): Promise<string> {
  const { state, folder, bytes } = await makeModels(recipe, place);
  const where = `${relative(ROOT, folder)}, ${(bytes / 1e6).toFixed(1)} MB`;
  if (state === 'there') return `${recipe.name}: there (${where})`;
  return `${recipe.name}: made from ${recipe.sources.map(titleOf).join(', ')} (${where})`;
}

/** The same from the sources and from dist/. */
function packageRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  return packageRoot(dirname(directory));
}

process.exitCode = await main(process.argv.slice(2));
