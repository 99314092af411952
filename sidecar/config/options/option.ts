/**
 * How an option is declared: its schema together with its meaning, its default and the reason for that default.
 *
 * The parser, the JSON Schemas and the reference page all read the same declaration, so that they cannot disagree.
 * Convention for every message given to zod here: it is the "expected" half of a sentence; explain.ts writes the
 * other half from what the file holds. Only custom issues carry whole sentences.
 */
import { z } from 'zod';
import { type Loose, markWrong } from './loose.js';

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

export const optionDocs = z.registry<OptionDoc>();
export const valueDocs = z.registry<ValueDoc>();

export function option<S extends z.ZodType>(schema: S, doc: OptionDoc): S {
  optionDocs.add(schema, doc);
  return schema;
}

export function value<S extends z.ZodType>(schema: S, doc: ValueDoc): S {
  valueDocs.add(schema, doc);
  return schema;
}

/** A block of named options. The message of an unknown key is the list of the known ones, for explain.ts. */
export function block<Shape extends z.ZodRawShape>(shape: Shape, expected: string) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : expected),
  });
}

/** Notes a problem at a path below the value being checked. The message is a whole sentence. */
export type Report = (path: (string | number)[], message: string) => void;

/**
 * Adds rules between options. They run even when single options are wrong, so that one look at the file finds
 * everything; what is wrong in itself they see as `WRONG`, and they read values through loose.ts.
 */
export function withRules<S extends z.ZodType>(schema: S, rules: (value: Loose, report: Report) => void): S {
  const check = z.superRefine<z.output<S>>(
    (found, context) => {
      if (typeof found !== 'object' || found === null || Array.isArray(found)) return;
      const marked = markWrong(found, context.issues) as Loose;
      rules(marked, (path, message) => context.addIssue({ code: 'custom', path, message }));
    },
    { when: () => true },
  );
  return schema.check(check) as S;
}
