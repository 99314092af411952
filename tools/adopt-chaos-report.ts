/**
 * `node dist/tools/adopt-chaos-report.js DIR [PICTURE.svg…]`: makes the report in DIR, written by `outrider chaos --report DIR`, the
 * one that the README and docs/CHAOS.md show. Its figures and the named pictures are copied to docs/chaos/, those of before are removed,
 * and the sections are written. `npm run generate` writes them again from what lies there.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSurvivalPages } from './survival-table.js';

const [dir, ...pictures] = process.argv.slice(2);
if (dir === undefined) {
  process.stderr.write('usage: node dist/tools/adopt-chaos-report.js DIR [PICTURE.svg…]\n');
  process.exitCode = 2;
} else adopt(dir);

function adopt(from: string): void {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  const target = join(root, 'docs', 'chaos');
  const names = ['figures.json', ...pictures];
  const missing = names.filter((name) => !existsSync(join(from, name)));
  if (missing.length > 0) throw new Error(`${from} has no ${missing.join(', ')}`);
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(target)) if (/\.(json|svg)$/.test(name)) rmSync(join(target, name));
  for (const name of names) copyFileSync(join(from, name), join(target, name));
  // Where the report was written concerns this machine only.
  const figures = join(target, 'figures.json');
  writeFileSync(figures, readFileSync(figures, 'utf8').replace(/ --report [^" ]+/, ' --report chaos'));
  writeSurvivalPages(root);
}
