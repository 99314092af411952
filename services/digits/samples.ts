/**
 * Writes the sample pictures, one of each digit: `npx tsx services/digits/samples.ts`. Each is the first held-out one that
 * both models read right and surely; how often they are wrong is told by the accuracy in CARD.md, not by these.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ModelSession } from '../model-server/network/session.js';
import { type Digit, heldOut, PIXELS } from './dataset.js';
import { renderDigit } from './render.js';

const NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

const { values } = parseArgs({ options: { out: { type: 'string', default: 'services/digits/samples' } } });
mkdirSync(values.out, { recursive: true });
const sure = await surelyRead(heldOut());
NAMES.forEach((name, label) => {
  const digit = sure.find((d) => d.label === label)!;
  // Every second one is light on dark, as MNIST itself is; all are off the middle.
  const ink = label % 2 === 0 ? 'light' : 'dark';
  const picture = renderDigit(digit, {
    scale: 3,
    left: 4 * label,
    top: 30 - 3 * label,
    right: 12,
    bottom: 8,
    ink,
  });
  writeFileSync(join(values.out, `${name}.png`), picture);
});

async function surelyRead(digits: readonly Digit[]): Promise<Digit[]> {
  const sure = [];
  const folders = ['models', 'lite/models'];
  const sessions = await Promise.all(
    folders.map((f) => ModelSession.load(join('services/digits', f, 'digits/1/model.onnx'))),
  );
  for (const digit of digits) {
    const input = { datatype: 'FP32', dims: [1, PIXELS], data: digit.pixels } as const;
    const answers = await Promise.all(sessions.map((session) => session.run([input], [0])));
    if (answers.every(([output]) => Number(output!.data[digit.label]) > 0.9)) sure.push(digit);
  }
  await Promise.all(sessions.map((session) => session.release()));
  return sure;
}
