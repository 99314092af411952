/**
 * model.yaml: what the maker of a model says of it, and the golden input that proves a loaded one.
 * Unknown keys are refused, and every problem is named; nothing here touches the model itself.
 */

import { parse } from 'yaml';
import { z } from 'zod';
import { messageOf } from '../rpc.js';

/** A list, or for large tensors a block of numbers separated by white space. */
const values = z.union([
  z.array(z.union([z.number(), z.boolean(), z.string()])),
  z.string().transform((block, context) => {
    const words = block.split(/\s+/).filter(Boolean);
    const wrong = words.find((word) => Number.isNaN(Number(word)));
    if (wrong !== undefined)
      context.addIssue({ code: 'custom', message: `found '${wrong}', expected numbers` });
    return words.map(Number);
  }),
]);
const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);

/** One input of the golden block. */
const goldenInput = z.strictObject({ shape: z.array(z.int().min(0)), values });

/** As it is written. */
export const cardSchema = z.strictObject({
  description: z.string().default(''),
  /** Of model.onnx, hex. A file that does not match is not loaded. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits')
    .optional(),
  /** Names of the classes, in the order of the last output dimension. */
  labels: z.array(scalar).min(1).optional(),
  batching: z.strictObject({ max_batch: z.int().min(1).max(4096) }).optional(),
  /** Passed on in ModelMetadata as they are. */
  properties: z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), scalar).default({}),
  golden: z.strictObject({
    /** Largest difference allowed: absolute, or relative to expected values beyond ±1. */
    tolerance: z.number().min(0).default(1e-4),
    inputs: z.record(z.string(), goldenInput),
    outputs: z
      .record(z.string(), z.strictObject({ values }))
      .refine((o) => Object.keys(o).length > 0, 'expected one output at least'),
  }),
});

/** A card with its defaults filled in. */
export type Card = z.output<typeof cardSchema>;

/** Throws an Error whose message names every problem on one line. */
export function parseCard(text: string): Card {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw new Error(`model.yaml is not YAML: ${messageOf(error)}`);
  }
  const result = cardSchema.safeParse(document ?? {});
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.join('.');
    if (path === 'golden' && (document as { golden?: unknown } | null)?.golden === undefined) {
      return 'golden: missing; a model is served only after its golden input gave the expected output';
    }
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  throw new Error(`model.yaml: ${problems.join('; ')}`);
}

/** Golden inputs by their names. */
export type GivenInputs = Readonly<Record<string, z.output<typeof goldenInput>>>;

/** The golden inputs of a card that need not be complete yet; none where it has none. Throws for those that are wrong. */
export function goldenInputsIn(text: string): GivenInputs {
  const document = parse(text) as { golden?: { inputs?: Record<string, unknown> } } | null;
  const given = Object.entries(document?.golden?.inputs ?? {});
  return Object.fromEntries(given.map(([name, input]) => [name, goldenInput.parse(input)]));
}
