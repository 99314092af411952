/**
 * Writes the generated files of mesh-config/, docs/ and proto/, and the tables of a chaos report where one was adopted. Run by `npm run
 * generate`; a test fails when they are out of date.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { madeDescriptors } from '../proto/descriptors.js';
import { cardSchema } from '../services/model-server/models/card.js';
import { withKeyTable } from './card-reference.js';
import { generatedFiles } from './generated-files.js';
import { declaredMetrics, metricsReference } from './metrics-reference.js';
import { reasonsReference } from './reasons-reference.js';
import { writeSurvivalPages } from './survival-table.js';

const root = packageRoot(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'mesh-config');
mkdirSync(join(target, 'observe/grafana'), { recursive: true });
for (const { name, content } of generatedFiles()) writeFileSync(join(target, name), content);
writeFileSync(join(target, 'METRICS.md'), metricsReference(declaredMetrics(sources())));
writeFileSync(join(root, 'docs', 'REASONS.md'), reasonsReference());
const page = join(target, 'MODEL.md');
writeFileSync(page, withKeyTable(readFileSync(page, 'utf8'), cardSchema));
writeSurvivalPages(root);
writeFileSync(join(root, 'proto', 'descriptors.json'), madeDescriptors());

/** Where metric families are made. */
function sources(): string[] {
  const folder = join(root, 'sidecar');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** The same from the sources and from dist/. */
function packageRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  if (parent === directory) throw new Error('no package.json above this file');
  return packageRoot(parent);
}
