/**
 * Reading the declared options back out of a schema: what zod wraps, this unwraps.
 */
import * as z from 'zod';
import { type OptionDoc, optionDocs, type ValueDoc, valueDocs } from '../sidecar/config/options/option.js';

/** One option of a block, as the reference shows it. */
export interface OptionEntry {
  readonly name: string;
  readonly doc: OptionDoc | undefined;
  readonly required: boolean;
  /** As a file would say it; undefined when there is none or it is computed. */
  readonly defaultInput: unknown;
  readonly value: ValueShape;
}

/** What may stand at an option. */
export type ValueShape =
  | { readonly kind: 'plain'; readonly doc: ValueDoc }
  | { readonly kind: 'block'; readonly options: readonly OptionEntry[] }
  | { readonly kind: 'list' | 'map'; readonly of: ValueShape }
  | { readonly kind: 'either'; readonly of: readonly ValueShape[] };

/** The options of a file, in the order they are declared. */
export function optionsOf(schema: z.ZodType): readonly OptionEntry[] {
  const shape = shapeOf(schema);
  if (shape.kind !== 'block') throw new TypeError('a file is a block of options');
  return shape.options;
}

function shapeOf(schema: z.ZodType): ValueShape {
  const doc = valueDocs.get(schema);
  if (doc !== undefined) return { kind: 'plain', doc };
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) {
    return shapeOf(schema.unwrap() as z.ZodType);
  }
  if (schema instanceof z.ZodObject) {
    return {
      kind: 'block',
      options: Object.entries(schema.shape).map(([name, field]) => entryOf(name, field as z.ZodType)),
    };
  }
  if (schema instanceof z.ZodArray) return { kind: 'list', of: shapeOf(schema.element as z.ZodType) };
  if (schema instanceof z.ZodRecord) return { kind: 'map', of: shapeOf(schema.valueType as z.ZodType) };
  if (schema instanceof z.ZodUnion)
    return { kind: 'either', of: schema.options.map((branch) => shapeOf(branch as z.ZodType)) };
  throw new TypeError(`no reference for a schema of type ${schema.type}`);
}

function entryOf(name: string, field: z.ZodType): OptionEntry {
  return {
    name,
    doc: optionDocs.get(field),
    required: !field.safeParse(undefined).success,
    defaultInput: field instanceof z.ZodPrefault ? field.def.defaultValue : undefined,
    value: shapeOf(field),
  };
}
