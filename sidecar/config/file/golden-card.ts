/**
 * model.yaml as far as a golden probe needs it: the block `golden`, an input whose output is known. The card belongs
 * to the maker of the model, so everything else in it is left alone.
 */

import { readFileSync, statSync } from 'node:fs';
import { parse } from 'yaml';
import * as z from 'zod';
import { numbersOfBlock } from '../../../proto/golden-values.js';

/** A golden image of 1,000 × 1,000 with three channels fits. */
const MAX_CARD_BYTES = 32 * 1024 * 1024;

/** A list, or for large tensors a block of numbers separated by white space. */
const values = z.union([
  z.array(z.union([z.number(), z.boolean(), z.string()])),
  z
    .string()
    .transform((block, context) =>
      numbersOfBlock(block, (message) => context.addIssue({ code: 'custom', message })),
    ),
]);

const golden = z.object({
  /** Largest difference allowed: absolute, or relative to expected values beyond ±1. */
  tolerance: z.number().min(0).default(1e-4),
  /** Tensors that are sent, in row-major order; without a datatype it is what the model's metadata says, else FP32. */
  inputs: z.record(
    z.string(),
    z
      .object({ shape: z.array(z.int().min(0)), values, datatype: z.string().optional() })
      .superRefine(({ shape, values: given }, context) => {
        const count = shape.reduce((product, size) => product * size, 1);
        if (given.length === count) return;
        const message = `found ${given.length} values, expected ${count} for shape [${shape.join(',')}]`;
        context.addIssue({ code: 'custom', path: ['values'], message });
      }),
  ),
  outputs: z
    .record(z.string(), z.object({ values }))
    .refine((outputs) => Object.keys(outputs).length > 0, 'found none, expected one output at least'),
});

/** The block `golden` of a card. */
export type GoldenCard = z.output<typeof golden>;

/** The golden block of a card. Throws an Error whose message is one line and names the file and every problem. */
export function readGoldenCard(file: string): GoldenCard {
  const bytes = statSync(file).size;
  if (bytes > MAX_CARD_BYTES)
    throw new Error(`${file}: found ${bytes} bytes, expected at most ${MAX_CARD_BYTES}`);
  return parseGoldenCard(readFileSync(file, 'utf8'), file);
}

/** The same of a text. `file` is its name in errors. */
export function parseGoldenCard(text: string, file: string): GoldenCard {
  const block = goldenBlock(text, file);
  if (block === undefined)
    throw new Error(`${file}: golden: missing; expected an input whose output is known`);
  const result = golden.safeParse(block);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path, message }) => `${['golden', ...path].join('.')}: ${message}`,
  );
  throw new Error(`${file}: ${problems.join('; ')}`);
}

function goldenBlock(text: string, file: string): unknown {
  try {
    const document: unknown = parse(text, { logLevel: 'error', prettyErrors: false });
    return typeof document === 'object' && document !== null
      ? ((document as { golden?: unknown }).golden ?? undefined)
      : undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Error(`${file}: not valid YAML: ${reason}`);
  }
}
