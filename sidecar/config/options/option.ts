/**
 * How an option is declared: its schema together with its meaning, its default and the reason for that default.
 *
 * The parser, the writer, the types, the JSON Schemas and the reference page all read the same declaration, so that they
 * cannot disagree. Convention for every message given to zod here: it is the "expected" half of a sentence; explain.ts
 * writes the other half from what the file holds. Only custom issues carry whole sentences.
 */
import * as z from 'zod';
import type { Coded, PlainOf, Unit, WithUnit } from '../names.js';
import { type FoundBlock, markWrong } from './found.js';

/** What the reference says about an option. */
export interface OptionDoc {
  /** One or two sentences. */
  readonly meaning: string;
  /** Why the default is what it is; for a required option, why it has none. */
  readonly why: string;
  /** The default in words, where it is computed from other options. */
  readonly otherwise?: string;
}

/** What the reference says about a kind of value: "duration", and "1ms to 24h". */
export interface ValueDoc {
  readonly type: string;
  readonly range?: string;
}

/** What each declared option means. */
export const optionDocs = z.registry<OptionDoc>();
/** What each kind of value is. */
export const valueDocs = z.registry<ValueDoc>();

/**
 * Declares an option of a block.
 *
 * @throws Error for a schema that is an option already: the reference would say of both what is said of the later one.
 */
export function option<S extends z.ZodType>(schema: S, doc: OptionDoc): S {
  if (optionDocs.has(schema))
    throw new Error(`one schema for two options: "${optionDocs.get(schema)?.meaning}" and "${doc.meaning}"`);
  optionDocs.add(schema, doc);
  return schema;
}

/** Declares a kind of value. The walks of names.ts and of the reference end at it, whatever it is made of. */
export function value<S extends z.ZodType>(schema: S, doc: ValueDoc): S {
  valueDocs.add(schema, doc);
  return schema;
}

/** A block of named options. A value that is none is told that "a block with" these options was expected. */
export function block<Shape extends z.ZodRawShape>(shape: Shape) {
  const [last, ...others] = Object.keys(shape).reverse();
  const names = others.length === 0 ? last : `${others.reverse().join(', ')} and ${last}`;
  return blockAs(`a block with ${names}`, shape);
}

/** A block that messages call otherwise. The message of an unknown key is the list of the known ones, for explain.ts. */
export function blockAs<Shape extends z.ZodRawShape>(expected: string, shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : expected),
  });
}

/** The units of values, which end their names in code. */
export const units = z.registry<{ readonly unit: Unit }>();

/** A value in this unit. */
export function withUnit<S extends z.ZodType, U extends Unit>(schema: S, unit: U): S & WithUnit<U> {
  units.add(schema, { unit });
  return schema;
}

/** Values that hold a path, and how it becomes one below the directory of the file. */
export const locators = z.registry<{ locate(value: never, baseDir: string): unknown }>();

/** A value that holds a path. */
export function located<S extends z.ZodType>(
  schema: S,
  locate: (value: z.output<S>, baseDir: string) => z.output<S>,
): S {
  locators.add(schema, { locate });
  return schema;
}

/** What code reads in the place of a value, and how it is written back. Without `encode` it is written as it is. */
export const codeForms = z.registry<{
  decode(said: never, name: string): unknown;
  encode?: ((config: never) => unknown) | undefined;
}>();

/**
 * What code reads in the place of an option or a block, above all defaults that follow from other options. `said` is in the
 * names of code; `name` is that of a block in a map of blocks, for which the result has to have a `name`. `encode` is needed
 * where the result could not be written as it is; options that a block does not have are not written.
 */
export function inCode<S extends z.ZodType, R>(
  schema: S,
  decode: (said: PlainOf<S>, name: string) => R,
  encode?: (config: R) => PlainOf<S>,
): S & Coded<R> {
  codeForms.add(schema, { decode, encode });
  return schema;
}

/** Notes a problem at a path below the value being checked. The message is a whole sentence. */
export type Report = (path: (string | number)[], message: string) => void;

export function below(path: (string | number)[], report: Report): Report {
  return (inner, message) => report([...path, ...inner], message);
}

/** Judges a block, in which single options may be `WRONG`. */
export type Rule = (found: FoundBlock, report: Report) => void;

/** A rule about one option of a block. */
export function inside(key: string, judge: (value: unknown, report: Report) => void): Rule {
  return (found, report) => judge(found[key], below([key], report));
}

/**
 * Rules between options, to `check` a block with. They run even when single options are wrong, so that one look at the
 * file finds everything; what is wrong in itself they see as `WRONG`, and they read values through found.ts.
 */
export function rules(...all: readonly Rule[]) {
  return z.superRefine<unknown>(
    (found, context) => {
      if (typeof found !== 'object' || found === null || Array.isArray(found)) return;
      const marked = markWrong(found, context.issues) as FoundBlock;
      for (const judge of all)
        judge(marked, (path, message) => context.addIssue({ code: 'custom', path, message }));
    },
    { when: () => true },
  );
}
