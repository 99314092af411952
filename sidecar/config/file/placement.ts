/** Where an option belongs that stands where it is none: below a block, or in the other kind of file. */
import * as z from 'zod';
import type { Path } from '../problem.js';

/** Blocks deeper than this are not searched: names there (`kind`, `max`) mean too many things. */
const MAX_DEPTH = 2;

/**
 * The blocks of a file that have an option of that name, such as `caller` or `services.NAME`: those nearest to the top, in the
 * order of the schema. Blocks in lists are left out.
 */
export function blocksWith(schema: z.ZodType, option: string): string[] {
  let level = [{ block: schema, path: [] as string[] }];
  for (let depth = 1; depth <= MAX_DEPTH; depth++) {
    level = level.flatMap(({ block, path }) =>
      fieldsOf(block).flatMap(([key, field]) => {
        const inner = unwrapped(field);
        const isMap = inner instanceof z.ZodRecord;
        const below = isMap ? unwrapped(inner.valueType as z.ZodType) : inner;
        return [{ block: below, path: [...path, ...(isMap ? [key, 'NAME'] : [key])] }];
      }),
    );
    const found = level.filter(({ block }) => fieldsOf(block).some(([key]) => key === option));
    if (found.length > 0) return found.map(({ path }) => path.join('.'));
  }
  return [];
}

/**
 * Where the block at `path` has an option of that name one level below itself, such as `routes[]`: blocks, maps of blocks and lists of blocks.
 * Empty: nowhere, or there is no such block.
 */
export function blocksBelow(schema: z.ZodType, path: Path, option: string): string[] {
  let block: z.ZodType | undefined = schema;
  for (const key of path) block = block && innerOf(block, key);
  if (block === undefined) return [];
  return fieldsOf(block).flatMap(([key, field]) => {
    const inner = unwrapped(field);
    const isList = inner instanceof z.ZodArray;
    const isMap = inner instanceof z.ZodRecord;
    const below = isList ? inner.element : isMap ? inner.valueType : inner;
    if (!fieldsOf(below as z.ZodType).some(([name]) => name === option)) return [];
    return [isList ? `${key}[]` : isMap ? `${key}.NAME` : key];
  });
}

/** What is at a key of a block, a name of a map, or a place in a list. */
function innerOf(schema: z.ZodType, key: string | number): z.ZodType | undefined {
  const outer = unwrapped(schema);
  if (outer instanceof z.ZodRecord) return outer.valueType as z.ZodType;
  if (outer instanceof z.ZodArray) return outer.element as z.ZodType;
  return fieldsOf(outer).find(([name]) => name === key)?.[1];
}

/** The options of a block, or of the block among alternatives; none of anything else. */
function fieldsOf(schema: z.ZodType): [string, z.ZodType][] {
  const block = unwrapped(schema);
  if (block instanceof z.ZodObject) return Object.entries(block.shape) as [string, z.ZodType][];
  if (!(block instanceof z.ZodUnion)) return [];
  const branch = (block.options as z.ZodType[]).find((each) => each instanceof z.ZodObject);
  return branch === undefined ? [] : fieldsOf(branch);
}

function unwrapped(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault
    ? unwrapped(schema.unwrap() as z.ZodType)
    : schema;
}
