/**
 * Makes the model `tokens`: `npx tsx services/tokens/training/train.ts [--out DIR]` (default services/tokens/models/tokens/1).
 * Everything is seeded: a second run writes the same bytes. Prints how far it is, then what it has written.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { open } from '../tokens.js';
import { Vocabulary } from '../vocabulary.js';
import { alone, requestFor } from './alone.js';
import { readBook } from './book.js';
import { toOnnx } from './export-onnx.js';
import type { Gru } from './gru.js';
import { learn, type Recipe } from './learn.js';

/** Of the committed model. */
const RECIPE: Recipe = {
  seed: 42,
  embedding: 32,
  units: 160,
  epochs: 3,
  streams: 16,
  steps: 64,
  rate: 0.005,
  warmUp: 50,
  norm: 1,
};

const GOLDEN = {
  prompt: 'Now small fowls flew screaming over the yawning ',
  maxTokens: 16,
  seed: 7n,
  temperature: 0.7,
};
const MAX_BATCH = 16;
/** Windows between two lines about how far it is. */
const REPORT_EVERY = 100;

/** Writes model.onnx and model.yaml. The golden answer is what the model's own code says. */
export async function write(directory: string, net: Gru, vocabulary: Vocabulary): Promise<void> {
  const onnx = toOnnx(net);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'model.onnx'), onnx);
  const settings = { vocabulary: Buffer.from(vocabulary.bytes).toString('hex') };
  const { context, close } = alone(directory, settings);
  try {
    const model = await open(context);
    const [answer] = await model.execute!([requestFor(GOLDEN)]);
    if (answer instanceof Error) throw answer;
    const characters = answer!.outputs['token']!.data as string[];
    const sha256 = createHash('sha256').update(onnx).digest('hex');
    writeFileSync(join(directory, 'model.yaml'), card({ sha256, settings, characters }));
  } finally {
    await close();
  }
}

interface Card {
  readonly sha256: string;
  readonly settings: { readonly vocabulary: string };
  readonly characters: readonly string[];
}

function card({ sha256, settings, characters }: Card): string {
  return `# Written by services/tokens/training/train.ts. How this model was made and what it can do: CARD.md.
description: "Goes on with a text, character by character: a recurrent network that has read one novel"
code: ../../../../../dist/services/tokens/tokens.js
sha256: ${sha256}
settings:
  vocabulary: "${settings.vocabulary}" # the bytes that the network knows
memory: 110MiB
# Each character follows from prompt, seed and temperature alone.
resumable: true
batching:
  max_batch: ${MAX_BATCH}
properties:
  output_kind: tokens
golden:
  tolerance: 0
  inputs:
    prompt: { shape: [1], values: [${JSON.stringify(GOLDEN.prompt)}] }
    max_tokens: { shape: [1], values: [${GOLDEN.maxTokens}] }
    seed: { shape: [1], values: [${GOLDEN.seed}] }
    temperature: { shape: [1], values: [${GOLDEN.temperature}] }
  outputs:
    token:
      values: [${characters.map((character) => JSON.stringify(character)).join(', ')}]
`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: 'string', default: 'services/tokens/models/tokens/1' } },
  });
  const { training } = await readBook('.cache/packages');
  const vocabulary = Vocabulary.of(training);
  let mean = 0;
  const net = learn(vocabulary.encode(training), vocabulary.size, RECIPE, (done, all, bits) => {
    mean += bits / REPORT_EVERY;
    if (done % REPORT_EVERY !== 0) return;
    process.stdout.write(`window ${done} of ${all}: ${mean.toFixed(3)} bits a byte\n`);
    mean = 0;
  });
  await write(values.out, net, vocabulary);
  process.stdout.write(`${values.out}: model.onnx, model.yaml\n`);
}

if (process.argv[1]?.match(/services[\\/]tokens[\\/]training[\\/]train\.[jt]s$/)) await main();
