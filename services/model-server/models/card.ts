/**
 * model.yaml: what the maker of a model says of it, and the golden input that proves a loaded one.
 * Unknown keys are refused, and every problem is named; nothing here touches the model itself.
 */

import { numbersOfBlock } from '../../../proto/golden-values.js';
import { messageOf } from '../rpc.js';
import * as z from './parsers.js';
import { parseYaml } from './parsers.js';

/** What the reference and the JSON Schema say of a key of model.yaml. */
export interface KeyDoc {
  readonly description: string;
  /** The default in words, where the schema itself has none. */
  readonly otherwise?: string;
}

/** The text of every key, blocks included: `npm run generate` fails for a key without one. */
export const keyDocs = z.registry<KeyDoc>();

/** A list, or for large tensors a block of numbers separated by white space. */
const values = (description: string) =>
  z
    .union([
      z.array(z.union([z.number(), z.boolean(), z.string()])),
      z
        .string()
        .transform((block, context) =>
          numbersOfBlock(block, (message) => context.addIssue({ code: 'custom', message })),
        ),
    ])
    .register(keyDocs, { description });
const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);

const duration = () =>
  z
    .string()
    .regex(/^\d+(\.\d+)?(us|ms|s|m)$/, 'expected a duration such as 5ms or 10s')
    .transform((text) => {
      const [, number, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text)!;
      return Number(number) * { us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit as 'us' | 'ms' | 's' | 'm'];
    });

/** One input of the golden block. */
const goldenInput = z.strictObject({
  shape: z
    .array(z.int().min(0))
    .register(keyDocs, { description: 'Of the input tensor of this name, without free dimensions.' }),
  values: values(
    'All elements, row by row: a list, or for large tensors a block of numbers separated by white space.',
  ),
});

const goldenOutput = z.strictObject({ values: values('What has to come out, likewise.') });

const golden = z.strictObject({
  tolerance: z.number().min(0).default(1e-4).register(keyDocs, {
    description: 'Largest difference allowed: absolute, or relative to expected values beyond ±1.',
  }),
  inputs: z.record(z.string(), goldenInput).register(keyDocs, {
    description: 'The inputs by their names; every input of the model is required.',
  }),
  outputs: z
    .record(z.string(), goldenOutput)
    .refine((o) => Object.keys(o).length > 0, 'expected one output at least')
    .register(keyDocs, {
      description:
        'The expected outputs by their names. Outputs that are not named are not compared; one is required.',
    }),
});

const stateLink = z.strictObject({
  input: z.string().register(keyDocs, { description: 'Name of the input; callers do not see it.' }),
  output: z.string().register(keyDocs, { description: 'Name of the output; callers do not see it.' }),
});

/** As it is written. */
export const cardSchema = z.strictObject({
  description: z
    .string()
    .default('')
    .register(keyDocs, { description: 'One sentence, passed on in ModelMetadata.', otherwise: 'empty' }),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits')
    .optional()
    .register(keyDocs, {
      description: 'Of `model.onnx`, in lower-case hex. A file that does not match is not loaded.',
      otherwise: 'not checked',
    }),
  labels: z.array(scalar).min(1).optional().register(keyDocs, {
    description: 'Names of the classes, in the order of the last output dimension.',
    otherwise: 'none',
  }),
  code: z.string().min(1).optional().register(keyDocs, {
    description:
      'An ES module that answers instead of the network alone, relative to `model.yaml`; its interface is [model-code.ts](../services/model-server/code/model-code.ts).',
    otherwise: 'none',
  }),
  settings: z.record(z.string(), z.unknown()).default({}).register(keyDocs, {
    description: 'Handed to `code` as they are.',
    otherwise: 'empty',
  }),
  resumable: z.boolean().default(false).register(keyDocs, {
    description:
      'The same request gets the same answers on any replica: a stream (ModelStreamInfer) of one request with the metadata `outrider-resume-after: K` gets what follows answer K, and says so.',
  }),
  concurrency: z.int().min(1).max(1024).default(1).register(keyDocs, {
    description: 'Runs of `code` that may be under way at once, for a model that waits for other services.',
  }),
  batching: z
    .strictObject({
      max_batch: z.int().min(1).max(4096).register(keyDocs, {
        description:
          'Waiting requests that may run as one batch. Inputs and outputs need a first dimension of any size, and a row has to give in a batch what it gives alone; both are tested at the start.',
        otherwise: 'each request runs alone',
      }),
      max_delay: duration().optional().register(keyDocs, {
        description: 'How long the first request of a batch may wait for further ones, such as `2ms`.',
        otherwise: 'no wait',
      }),
      preferred: z
        .array(z.int().min(1).max(4096))
        .min(1)
        .transform((sizes) => sizes.toSorted((a, b) => a - b))
        .optional()
        .register(keyDocs, {
          description:
            'Numbers of rows at which a batch that waits is run at once; none is above `max_batch`.',
          otherwise: '`max_batch`',
        }),
    })
    .superRefine(({ max_batch, preferred }, context) => {
      const above = preferred?.find((rows) => rows > max_batch);
      if (above === undefined) return;
      const message = `found ${above}, expected at most the ${max_batch} of max_batch: no batch is larger`;
      context.addIssue({ code: 'custom', path: ['preferred'], message });
    })
    .optional()
    .register(keyDocs, { description: 'Present: waiting requests run together.' }),
  sequence: z
    .strictObject({
      idle: duration().prefault('10s').register(keyDocs, {
        description: 'A sequence (`sequence_id`) without a request for so long ends.',
      }),
      max: z.int().min(1).max(1_000_000).default(1000).register(keyDocs, {
        description:
          'Sequences at once. When all are taken, callers share them alike: one with less than its share gets a sequence of one with more.',
      }),
      state: z.array(stateLink).default([]).register(keyDocs, {
        description:
          'Pairs of `input` and `output`: the input gets what the output gave in the request before of the same sequence, and zeros at its start. Not with `code`.',
        otherwise: 'none',
      }),
    })
    .optional()
    .register(keyDocs, { description: 'Present: the model keeps a state for each sequence.' }),
  runtime: z
    .strictObject({
      threads: z.int().min(1).max(256).default(1).register(keyDocs, {
        description: 'Threads of one run of the network.',
      }),
      graph_optimization: z.enum(['disabled', 'basic', 'extended', 'all']).default('all').register(keyDocs, {
        description: 'How far ONNX Runtime rewrites the network: `disabled`, `basic`, `extended` or `all`.',
      }),
      providers: z.array(z.string()).min(1).default(['cpu']).register(keyDocs, {
        description:
          'Execution providers of ONNX Runtime, in order of preference. One that the installed runtime lacks is an error.',
      }),
    })
    .prefault({})
    .register(keyDocs, { description: 'How ONNX Runtime runs the network.' }),
  memory: z
    .string()
    .regex(/^[1-9]\d*(KiB|MiB|GiB)$/, 'expected a size such as 240MiB')
    .optional()
    .register(keyDocs, {
      description:
        'Resident memory of a process that serves this model alone, once it has worked, as measured (`outrider_model_memory_bytes`), such as `240MiB`. `outrider up` adds it up and says what a mesh needs.',
      otherwise: 'unknown',
    }),
  properties: z
    .record(z.string().regex(/^[a-z][a-z0-9_]*$/), scalar)
    .default({})
    .register(keyDocs, {
      description:
        'Further keys and values, passed on in ModelMetadata. `outrider infer` reads those of the table below.',
      otherwise: 'empty',
    }),
  golden: golden.register(keyDocs, {
    description: 'Inputs that are run before the model is served, and what has to come out.',
  }),
});

/** A card with its defaults filled in. */
export type Card = z.output<typeof cardSchema>;

/** A card whose golden block is still to be made. */
export type CardDraft = Omit<Card, 'golden'>;

const draftSchema = cardSchema.omit({ golden: true }).extend({ golden: z.unknown().optional() });

/** Throws an Error whose message names every problem on one line. */
export function parseCard(text: string): Card {
  return parseBy(cardSchema, text);
}

/** The same of a card without a golden block, or with one that is not looked at. */
export function parseDraft(text: string): CardDraft {
  return parseBy(draftSchema, text);
}

function parseBy<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  let document: unknown;
  try {
    document = parseYaml(text);
  } catch (error) {
    throw new Error(`model.yaml is not YAML: ${messageOf(error)}`);
  }
  const result = schema.safeParse(document ?? {});
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

/** What stands in a card of its golden block. */
export interface GoldenSoFar {
  readonly inputs: GivenInputs;
  readonly tolerance?: number;
  /** Neither code nor state is around the network. */
  readonly isNetworkAlone: boolean;
}

/** What a card that need not be complete yet says of its golden inputs and their tolerance. Throws for what is wrong there. */
export function goldenSoFar(text: string): GoldenSoFar {
  const document = parseYaml(text) as {
    code?: unknown;
    sequence?: { state?: unknown } | null;
    golden?: { inputs?: Record<string, unknown>; tolerance?: unknown };
  } | null;
  const isNetworkAlone = document?.code === undefined && document?.sequence?.state === undefined;
  const given = Object.entries(document?.golden?.inputs ?? {});
  const inputs = Object.fromEntries(given.map(([name, input]) => [name, goldenInput.parse(input)]));
  const tolerance = document?.golden?.tolerance;
  return { inputs, isNetworkAlone, ...(typeof tolerance === 'number' ? { tolerance } : {}) };
}
