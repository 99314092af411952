/**
 * JSON Schemas for editors, generated from the same declarations that the parser uses.
 *
 * They describe spelling, so that an editor can complete and explain; rules between options only the parser knows.
 */
import { z } from 'zod';
import { optionDocs, valueDocs } from '../sidecar/config/options/option.js';

/** JSON text, with a newline at its end. */
export function jsonSchemaOf(file: z.ZodType, title: string): string {
  const schema = z.toJSONSchema(file, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const range = valueDocs.get(zodSchema)?.range;
      // Numbers say their range themselves.
      if (range !== undefined && jsonSchema.type === 'string') jsonSchema.description = `From ${range}.`;
      const description = describe(zodSchema as unknown as z.ZodType, jsonSchema.description);
      if (description !== undefined) jsonSchema.description = description;
    },
  });
  const { $schema, ...rest } = schema;
  return `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`;
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
