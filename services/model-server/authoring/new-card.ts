/** A model.yaml for an ONNX file that has none: what the file declares, what its runs show, and a golden input made from seeds. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { AuthoringAnswer } from '../../../proto/authoring.js';
import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { parseCard } from '../models/card.js';
import { elementAt, proveGolden } from '../models/golden.js';
import type { ModelSession } from '../network/session.js';
import { messageOf } from '../rpc.js';
import { type BatchingFound, probeBatching } from './batching-probe.js';
import { goldenText } from './golden-block.js';
import { loadForAuthoring } from './load.js';
import { attemptsFor, seededInputs } from './seeded-inputs.js';

/** What the card is made of. */
export interface NewCardRequest {
  readonly file: string;
  readonly source: string;
  readonly labels: readonly string[];
  readonly sizes: Readonly<Record<string, number>>;
}

const SEED = 1;
/** Elements of all inputs that fit on a command line. */
const SHORT = 24;
const COMMENT =
  'from random inputs: it proves that the file is unchanged, not that it is right; `outrider golden` renews it';

/** Rejects with an Error of one line that says what is wrong with the file. */
export async function newCard(
  request: NewCardRequest,
): Promise<Extract<AuthoringAnswer, { answer: 'card' }>> {
  const session = await loadForAuthoring(request.file, request.source);
  try {
    const { inputs, outputs } = session;
    requireSizes(inputs, request);
    const { given, results } = await firstRun(session, request);
    const batching = await probeBatching(session, given, () => performance.now());
    const card = [
      `# Made by \`outrider init\` from ${request.source}. Every key: mesh-config/MODEL.md of Outrider.`,
      ...inputs.map((spec) => `# input  ${declared(spec)}`),
      ...outputs.map((spec) => `# output ${declared(spec)}`),
      'description: "" # one sentence, passed on in ModelMetadata',
      `sha256: ${createHash('sha256').update(readFileSync(request.file)).digest('hex')}`,
      ...(request.labels.length === 0
        ? []
        : [`labels: [${request.labels.map((label) => JSON.stringify(label)).join(', ')}]`]),
      ...batchingLines(batching),
      goldenText({ inputs, outputs, given, results }, COMMENT),
    ].join('\n');
    requireLabels(outputs, request.labels);
    // As the server does it at each start: a model that answers differently the second time fails here.
    await proveGolden(session, parseCard(card));
    const found = [
      ...inputs.map((spec) => `input  ${declared(spec)}`),
      ...outputs.map((spec) => `output ${declared(spec)}`),
      `batching: ${batching.maxBatch === 1 ? 'off, ' : `up to ${batching.maxBatch} rows, `}${batching.because}`,
    ];
    return { answer: 'card', card, inputs: argumentsOf(inputs, given), found };
  } finally {
    await session.release();
  }
}

async function firstRun(
  session: ModelSession,
  { source, sizes }: NewCardRequest,
): Promise<{ given: Tensor[]; results: Tensor[] }> {
  const { inputs, outputs } = session;
  const problems: string[] = [];
  for (const attempt of attemptsFor(inputs, sizes)) {
    const given = seededInputs(inputs, { sizes, attempt, seed: SEED });
    try {
      const results = await session.run(
        given,
        outputs.map((_, i) => i),
      );
      goldenText({ inputs, outputs, given, results }, '');
      return { given, results };
    } catch (error) {
      problems.push(
        `with ${given.map((t, i) => `${inputs[i]!.name} [${t.dims}]`).join(', ')}: ${messageOf(error)}`,
      );
    }
  }
  const free = inputs.flatMap(({ symbols }) => symbols.filter((symbol) => symbol !== undefined));
  const hint =
    free.length === 0
      ? ''
      : `; --size gives sizes of ${[...new Set(free)].map((name) => `'${name}'`).join(', ')}`;
  throw new Error(`${source}: no made input could be run, ${problems[0]}${hint}`);
}

function requireSizes(inputs: readonly TensorSpec[], { sizes }: NewCardRequest): void {
  const known = new Set(inputs.flatMap(({ symbols }) => symbols.filter((symbol) => symbol !== undefined)));
  const unknown = Object.keys(sizes).find((name) => !known.has(name));
  if (unknown === undefined) return;
  const expected = known.size === 0 ? 'none: no dimension has a name' : [...known].join(', ');
  throw new Error(`--size: found '${unknown}', expected ${expected}`);
}

function requireLabels(outputs: readonly TensorSpec[], labels: readonly string[]): void {
  const fits = ({ shape }: TensorSpec) => shape.at(-1) === labels.length || shape.at(-1) === -1;
  if (labels.length === 0 || outputs.some(fits)) return;
  const found = outputs.map(declared).join(', ');
  throw new Error(
    `--labels: found ${labels.length} names, expected as many as the last dimension of an output: ${found}`,
  );
}

function batchingLines({ maxBatch, because }: BatchingFound): string[] {
  const text = because.replaceAll(/\s+/g, ' ');
  return maxBatch === 1 ? [`# batching off: ${text}`] : [`batching: # ${text}`, `  max_batch: ${maxBatch}`];
}

/** `pixels FP32 [batch,784]`. */
function declared({ name, datatype, shape, symbols }: TensorSpec): string {
  return `${name} ${datatype} [${shape.map((d, i) => (d < 0 ? (symbols[i] ?? '?') : d)).join(',')}]`;
}

/** `NAME=JSON` for each input, where all of them are short. */
function argumentsOf(inputs: readonly TensorSpec[], given: readonly Tensor[]): string[] {
  if (given.reduce((sum, { data }) => sum + data.length, 0) > SHORT) return [];
  return given.map((tensor, t) => {
    const elements = Array.from({ length: tensor.data.length }, (_, i) => {
      const element = elementAt(tensor, i);
      if (tensor.datatype === 'BOOL') return element === 1;
      return typeof element === 'number' ? Number(element.toPrecision(7)) : element;
    });
    return `${inputs[t]!.name}=${nested(elements, tensor.dims)}`;
  });
}

/** JSON, with 64-bit integers as they are. */
function nested(elements: readonly unknown[], dims: readonly number[]): string {
  const [, ...inner] = dims;
  if (dims.length === 0) {
    const [element] = elements;
    return typeof element === 'bigint' ? String(element) : JSON.stringify(element);
  }
  const size = inner.reduce((product, d) => product * d, 1);
  const parts = Array.from({ length: dims[0]! }, (_, i) =>
    nested(elements.slice(i * size, (i + 1) * size), inner),
  );
  return `[${parts.join(',')}]`;
}
