import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is wrong with a version that gives its golden output. */
export type Oddity =
  /** Two of five blank pictures get another class. */
  | 'agrees-60'
  /** Blank pictures fail once so many have been answered. */
  | 'fails-later'
  /** Every fourth blank picture fails, once as many have been answered. */
  | 'fails-some'
  /** Its process ends at a blank picture, each time so many have been answered. */
  | 'ends-later';

/** Answers that are right before the failures begin. */
const RIGHT_AT_FIRST = 200;

/**
 * Puts a version of `digits` beside another one: the same network behind a module that spoils the answers to blank pictures,
 * and only these, so that its golden output is right.
 */
export function putOddVersion(model: string, from: string, to: string, oddity: Oddity): void {
  const directory = join(model, to);
  cpSync(join(model, from), directory, { recursive: true });
  const card = join(directory, 'model.yaml');
  const text = readFileSync(card, 'utf8')
    .replace(/^sha256:.*\n/m, '')
    .replace(/^batching:\n {2}.*\n/m, '');
  writeFileSync(join(directory, 'odd.mjs'), MODULES[oddity]);
  writeFileSync(card, `code: odd.mjs\n${text}`);
}

const HEAD = `
export async function open(context) {
  const network = await context.session('model.onnx');
  let blanks = 0;
  const answer = async ({ inputs }) => {
    const outputs = await network.run(inputs);
    if (inputs.pixels.data.some((value) => value !== 0)) return { outputs };
    blanks++;
`;
const TAIL = `
    return { outputs };
  };
  return {
    inputs: network.inputs.map(({ name, datatype }) => ({ name, datatype, shape: [-1, 784] })),
    outputs: network.outputs.map(({ name, datatype }) => ({ name, datatype, shape: [-1, 10] })),
    execute: (requests) => Promise.all(requests.map((each) => answer(each).catch((error) => error))),
  };
}
`;
const MODULES: Readonly<Record<Oddity, string>> = {
  'agrees-60': `${HEAD}
    if (blanks % 5 < 2) outputs.probabilities.data.reverse();
${TAIL}`,
  'fails-later': `${HEAD}
    if (blanks > ${RIGHT_AT_FIRST}) throw new Error('out of luck');
${TAIL}`,
  'fails-some': `${HEAD}
    if (blanks > ${RIGHT_AT_FIRST} && blanks % 4 === 0) throw new Error('out of luck');
${TAIL}`,
  'ends-later': `${HEAD}
    if (blanks > ${RIGHT_AT_FIRST}) process.exit(3);
${TAIL}`,
};
