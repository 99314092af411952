/**
 * From what a file says to what code reads, and back: a schema of options/ is walked beside a value of it.
 *
 * - A block becomes an object whose names are in camel case, with the unit of a value at the end (`drain_timeout: 30s` is
 *   `drainTimeoutMs: 30000`), unless a word of the name says it already (`max_waiting_bytes`).
 * - A map of blocks by name becomes a list of objects with a `name`, in the order of the file.
 * - A relative path becomes one below the directory of the file.
 * - What `inCode` registered takes the place of its option: defaults that follow from others.
 *
 * names.ts says the same of types.
 */
import * as z from 'zod';
import type { CodeOf } from './names.js';
import { codeForms, locators, units, valueDocs } from './options/option.js';

/** `said`: what the schema made of a file. Pure: nothing of the file system is looked at. */
export function fromFile<S extends z.ZodType>(schema: S, said: z.output<S>, baseDir: string): CodeOf<S> {
  return decode(schema, said, baseDir, '') as CodeOf<S>;
}

/** The opposite, as values for YAML. Throws what zod throws for a configuration that no file can say, RangeError for a number. */
export function toFile<S extends z.ZodType>(schema: S, config: CodeOf<S>): z.input<S> {
  return z.encode(schema, encode(schema, config) as z.output<S>);
}

function decode(schema: z.ZodType, said: unknown, baseDir: string, name: string): unknown {
  const form = codeForms.get(schema);
  const plain = plainInCode(schema, said, baseDir, form === undefined ? name : '');
  return form === undefined ? plain : form.decode(plain as never, name);
}

function plainInCode(schema: z.ZodType, said: unknown, baseDir: string, name: string): unknown {
  if (said === undefined) return undefined;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault)
    return decode(schema.unwrap() as z.ZodType, said, baseDir, name);
  const locator = locators.get(schema);
  if (locator !== undefined) return locator.locate(said as never, baseDir);
  if (valueDocs.get(schema) !== undefined) return said;
  if (schema instanceof z.ZodArray && Array.isArray(said))
    return said.map((item) => decode(schema.element as z.ZodType, item, baseDir, ''));
  if (typeof said !== 'object' || said === null) return said;
  if (schema instanceof z.ZodRecord) {
    const inner = schema.valueType as z.ZodType;
    const items = Object.entries(said).map(
      ([key, item]) => [key, decode(inner, item, baseDir, key)] as const,
    );
    return inner instanceof z.ZodObject ? items.map(([, item]) => item) : Object.fromEntries(items);
  }
  const block = blockIn(schema);
  if (block !== schema && block !== undefined) return decode(block, said, baseDir, name);
  return block === undefined ? said : blockInCode(block, said as Record<string, unknown>, baseDir, name);
}

function blockInCode(
  block: z.ZodObject,
  said: Readonly<Record<string, unknown>>,
  baseDir: string,
  name: string,
): Record<string, unknown> {
  const config: Record<string, unknown> = name === '' ? {} : { name };
  for (const [key, field] of fieldsOf(block)) {
    const inner = decode(field, said[key], baseDir, '');
    if (inner !== undefined) config[nameOf(key, field)] = inner;
  }
  return config;
}

function encode(schema: z.ZodType, config: unknown): unknown {
  const form = codeForms.get(schema);
  const plain = form?.encode === undefined ? config : form.encode(config as never);
  if (plain === undefined) return undefined;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault)
    return encode(schema.unwrap() as z.ZodType, plain);
  if (valueDocs.get(schema) !== undefined) return plain;
  if (schema instanceof z.ZodArray && Array.isArray(plain))
    return plain.map((item) => encode(schema.element as z.ZodType, item));
  if (typeof plain !== 'object' || plain === null) return plain;
  if (schema instanceof z.ZodRecord) {
    const inner = schema.valueType as z.ZodType;
    if (!(inner instanceof z.ZodObject)) return plain;
    return Object.fromEntries((plain as { name: string }[]).map((item) => [item.name, encode(inner, item)]));
  }
  const block = blockIn(schema);
  if (block !== schema && block !== undefined) return encode(block, plain);
  if (block === undefined) return plain;
  const said = fieldsOf(block).map(
    ([key, field]) => [key, encode(field, (plain as Record<string, unknown>)[nameOf(key, field)])] as const,
  );
  return Object.fromEntries(said.filter(([, inner]) => inner !== undefined));
}

/** The block that a value which is an object belongs to: the schema itself, or the block among its alternatives. */
function blockIn(schema: z.ZodType): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (!(schema instanceof z.ZodUnion)) return undefined;
  return (schema.options as z.ZodType[]).find((branch) => branch instanceof z.ZodObject);
}

function fieldsOf(block: z.ZodObject): [string, z.ZodType][] {
  return Object.entries(block.shape) as [string, z.ZodType][];
}

function nameOf(key: string, field: z.ZodType): string {
  const camel = key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const unit = unitOf(field);
  return unit === undefined || key.split('_').includes(unit.toLowerCase()) ? camel : camel + unit;
}

function unitOf(schema: z.ZodType): string | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault)
    return unitOf(schema.unwrap() as z.ZodType);
  return units.get(schema)?.unit;
}
