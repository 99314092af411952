/**
 * JSON Schemas for editors, generated from the same declarations that the parser uses.
 *
 * They describe spelling, so that an editor can complete and explain; rules between options only the parser knows.
 */
import * as z from 'zod';
import { optionDocs, valueDocs } from '../sidecar/config/options/option.js';

/** What a schema is called, and what it says before its options. */
export interface SchemaHead {
  /** The last part of its `$id`, such as `outrider-mesh`. */
  readonly id: string;
  readonly title: string;
  /** Which files it is for. */
  readonly description: string;
}

/** As SchemaStore asks for: the draft that all editors read, and an `$id` at its own address, where the schema would be found. */
export const DRAFT = { io: 'input', target: 'draft-7' } as const;
const HOME = 'https://json.schemastore.org';

/** JSON text, with a newline at its end. */
export function jsonSchemaOf(file: z.ZodType, head: SchemaHead): string {
  const schema = z.toJSONSchema(file, {
    ...DRAFT,
    override: ({ zodSchema, jsonSchema }) => {
      const range = valueDocs.get(zodSchema)?.range;
      // Numbers say their range themselves.
      if (range !== undefined && jsonSchema.type === 'string') jsonSchema.description = `From ${range}.`;
      const description = describe(zodSchema as unknown as z.ZodType, jsonSchema.description);
      if (description !== undefined) jsonSchema.description = description;
    },
  });
  return schemaText(schema, head);
}

/** The JSON text of a schema, with its head before the options. */
export function schemaText({ $schema, ...rest }: { readonly $schema?: string }, head: SchemaHead): string {
  const { id, title, description } = head;
  return `${JSON.stringify({ $schema, $id: `${HOME}/${id}.json`, title, description, ...rest }, null, 2)}\n`;
}

function describe(schema: z.ZodType, range: string | undefined): string | undefined {
  const doc = optionDocs.get(schema);
  if (doc === undefined) return undefined;
  const parts = [doc.meaning];
  if (range !== undefined) parts.push(range);
  if (doc.otherwise !== undefined) parts.push(otherwise(doc.otherwise));
  parts.push(doc.why);
  return parts.join(' ');
}

function otherwise(fallback: string): string {
  return fallback.startsWith('absent: ') ? `If ${fallback}.` : `Default: ${fallback}.`;
}
