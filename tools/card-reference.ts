/**
 * The reference of model.yaml: its JSON Schema, and the table of MODEL.md, both from the schema that the model server reads by.
 */
import * as z from 'zod';
import { keyDocs } from '../services/model-server/models/card.js';
import { DRAFT, schemaText } from './json-schema.js';
import { markdownTable } from './markdown-table.js';

/** A node of the JSON Schema, with the texts of `keyDocs` in it. */
interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node | false;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly otherwise?: string;
}

const HEAD = {
  id: 'outrider-model',
  title: 'Outrider model.yaml',
  description:
    'What lies beside the file of a model: its inputs and outputs as the server shows them, batches, golden values.',
};
const BEGIN = '<!-- Made by `npm run generate` from services/model-server/models/card.ts -->';
const END = '<!-- End of what is made -->';

/** JSON text for editors, with a newline at its end. */
export function cardJsonSchema(card: z.ZodType): string {
  const schema = schemaOf(card);
  requireTexts(schema, '');
  // The default in words ends the description, where an editor shows it.
  const text = JSON.stringify(schema, (_, value) => {
    if (typeof value?.otherwise !== 'string') return value;
    const { otherwise, description, ...node } = value;
    return { ...node, description: `${description} Default: ${otherwise}.` };
  });
  return schemaText(JSON.parse(text), HEAD);
}

/** The page with its table of keys made anew. Throws an Error for a key without a text. */
export function withKeyTable(page: string, card: z.ZodType): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`MODEL.md: the lines ${BEGIN} and ${END} are missing`);
  const root = schemaOf(card);
  requireTexts(root, '');
  const table = markdownTable([['key', 'meaning', 'default'], ...rows(root, '')]);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${page.slice(end)}`;
}

function schemaOf(card: z.ZodType): Node {
  return z.toJSONSchema(card, { ...DRAFT, metadata: keyDocs, unrepresentable: 'any' }) as Node;
}

/** A row for each key that holds a value; a block has those of its keys, a map of blocks those of `NAME`. */
function rows(node: Node, path: string): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([key, inner]) => {
    const at = path === '' ? key : `${path}.${key}`;
    const entries = inner.additionalProperties;
    if (entries !== undefined && entries !== false && entries.properties !== undefined)
      return rows(entries, `${at}.NAME`);
    if (inner.properties !== undefined) return rows(inner, at);
    const shown = inner.default === undefined ? '' : `\`${JSON.stringify(inner.default)}\``;
    const fallback = inner.otherwise ?? (node.required?.includes(key) ? 'required' : shown);
    return [[`\`${at}\``, (inner.description ?? '').replaceAll('|', '\\|'), fallback]];
  });
}

function requireTexts(node: Node, path: string): void {
  for (const [key, inner] of Object.entries(node.properties ?? {})) {
    const at = path === '' ? key : `${path}.${key}`;
    if (inner.description === undefined)
      throw new Error(`model.yaml: the key ${at} has no text; register it in keyDocs`);
    requireTexts(inner, at);
  }
  if (node.additionalProperties) requireTexts(node.additionalProperties, `${path}.NAME`);
}
