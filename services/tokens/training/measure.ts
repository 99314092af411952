/**
 * Prints what the card of `tokens` says: `npx tsx services/tokens/training/measure.ts`. How well the network predicts held-out
 * chapters, against counting; and how fast it writes, without a server.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Network } from '../network.js';
import { open } from '../tokens.js';
import { Vocabulary } from '../vocabulary.js';
import { alone, requestFor } from './alone.js';
import { readBook } from './book.js';
import { bitsPerByte } from './evaluate.js';
import { bitsPerByteOfNgrams } from './ngrams.js';
import type { Prose } from './prose.js';

const DIRECTORY = 'services/tokens/models/tokens/1';
const STREAMS = 20;
const CHARACTERS = 512;
const SIDE_BY_SIDE = 16;

const print = (line: string) => process.stdout.write(`${line}\n`);

async function quality({ training, heldOut }: Prose, vocabulary: Vocabulary): Promise<void> {
  const { context, close } = alone(DIRECTORY, {});
  const network = new Network(await context.session('model.onnx'));
  const bits = await bitsPerByte(network, vocabulary.encode(heldOut));
  await close();
  print(`${Buffer.byteLength(heldOut)} bytes held out, bits a byte:`);
  for (const length of [1, 2, 3, 4]) {
    const counted = bitsPerByteOfNgrams(Buffer.from(training), Buffer.from(heldOut), length);
    print(`  counted sequences of ${length + 1} bytes ${counted.toFixed(3)}`);
  }
  print(`  tokens ${bits.toFixed(3)}`);
}

async function speed(settings: Readonly<Record<string, unknown>>): Promise<void> {
  const { context, close } = alone(DIRECTORY, settings);
  const model = await open(context);
  const first: number[] = [];
  const rates: number[] = [];
  for (let seed = 0n; seed < STREAMS; seed++) {
    const began = performance.now();
    const answers = model.stream!(requestFor({ prompt: 'Call me ', maxTokens: CHARACTERS, seed }));
    await answers.next();
    const firstAt = performance.now();
    while (!(await answers.next()).done);
    first.push(firstAt - began);
    rates.push((CHARACTERS - 1) / ((performance.now() - firstAt) / 1000));
  }
  print(`one stream, median of ${STREAMS}, prompt of 8 bytes:`);
  print(`  first token after ${median(first).toFixed(2)} ms, then ${median(rates).toFixed(0)} tokens/s`);
  const began = performance.now();
  const requests = Array.from({ length: SIDE_BY_SIDE }, (_, i) =>
    requestFor({ prompt: 'Call me ', maxTokens: CHARACTERS, seed: BigInt(i) }),
  );
  await model.execute!(requests);
  const rate = (SIDE_BY_SIDE * CHARACTERS) / ((performance.now() - began) / 1000);
  print(`${SIDE_BY_SIDE} texts in one run: ${rate.toFixed(0)} tokens/s`);
  await close();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

const hex = /vocabulary: "([0-9a-f]+)"/.exec(readFileSync(join(DIRECTORY, 'model.yaml'), 'utf8'))![1]!;
await quality(await readBook('.cache/packages'), new Vocabulary(Buffer.from(hex, 'hex')));
await speed({ vocabulary: hex });
