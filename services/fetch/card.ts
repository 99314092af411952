/** Writes model.yaml. */

import { createHash } from 'node:crypto';
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Document, visit } from 'yaml';
import { titleOf } from './packages.js';
import type { BuiltModel, Golden, GoldenValues, Recipe } from './recipe.js';

/** Longer lists of numbers are written as a block of lines. */
const MAX_LIST = 12;
const PER_LINE = 14;

/**
 * The text of model.yaml for a model that will lie in `directory` (absolute). Its properties, which ModelMetadata passes on,
 * name the packages it was made of and their licences.
 */
export function cardText({ files, card }: BuiltModel, recipe: Recipe, directory: string): string {
  const onnx = files['model.onnx'];
  const properties = {
    source: recipe.sources.map(titleOf).join(', '),
    licence: recipe.sources.map(({ licence }) => licence).join(', '),
  };
  const document = {
    description: card.description,
    ...(card.code && { code: relative(directory, fileURLToPath(card.code)).split(sep).join('/') }),
    ...(onnx !== undefined && { sha256: createHash('sha256').update(onnx).digest('hex') }),
    properties: { ...properties, ...card.properties },
    ...card.keys,
    golden: goldenBlock(card.golden),
  };
  const about = `# Written by npm run models. How this model was made and what it can do: services/${recipe.name}/CARD.md.\n`;
  const yaml = new Document(document);
  visit(yaml, {
    Seq: (_, list) => {
      list.flow = true;
    },
  });
  return about + yaml.toString({ lineWidth: 120, flowCollectionPadding: false });
}

function goldenBlock({ tolerance, inputs, outputs }: Golden): unknown {
  const input = Object.entries(inputs).map(([name, { shape, values }]) => [
    name,
    { shape, values: block(values) },
  ]);
  const output = Object.entries(outputs).map(([name, { values }]) => [name, { values: block(values) }]);
  return { tolerance, inputs: Object.fromEntries(input), outputs: Object.fromEntries(output) };
}

/** The model server takes a block of numbers for a list of them. */
function block(values: GoldenValues): GoldenValues | string {
  if (values.length <= MAX_LIST || values.some((value) => typeof value !== 'number')) return values;
  const lines: string[] = [];
  for (let i = 0; i < values.length; i += PER_LINE) lines.push(values.slice(i, i + PER_LINE).join(' '));
  return `${lines.join('\n')}\n`;
}
