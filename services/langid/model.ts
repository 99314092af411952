/** The model `langid`: in which of 50 languages a text is written. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelContext, ModelRequest, OpenModel } from '../model-server/code/model-code.js';
import { Rows } from '../rows/rows.js';
import { FeatureExtractor } from './features.js';

/** ISO 639-3 for a text that is in no language: it has no letter. */
const UNDETERMINED = 'und';

/** What the recipe writes beside the network. */
export const files = { network: 'model.onnx', ngrams: 'ngrams.json', languages: 'languages.json' };

/** What the probabilities of the model are of: the languages of the network, and `und`. */
export const labelsOf = (languages: readonly string[]): readonly string[] => [...languages, UNDETERMINED];

/** Loads the network, the sequences it counts and the languages it knows. */
export const open: OpenModel = async (context) => {
  const extractor = new FeatureExtractor(await json(context, files.ngrams));
  const languages = await json<readonly string[]>(context, files.languages);
  const labels = labelsOf(languages);
  const network = await context.session(files.network);

  const execute = async (requests: readonly ModelRequest[]) => {
    const rows = Rows.of(requests, 'text');
    const { texts } = rows;
    const features = new Float32Array(texts.length * extractor.size);
    const hasLetters = texts.map((text, row) => extractor.write(text, features, row * extractor.size));
    const dims = [texts.length, extractor.size];
    const answer = await network.run({ features: { datatype: 'FP32', dims, data: features } });
    const known = answer['probabilities']!.data as Float32Array;
    const probabilities = new Float32Array(texts.length * labels.length);
    const names = hasLetters.map((has, row) => {
      const own = probabilities.subarray(row * labels.length, (row + 1) * labels.length);
      if (has) own.set(known.subarray(row * languages.length, (row + 1) * languages.length));
      else own[labels.indexOf(UNDETERMINED)] = 1;
      return labels[own.indexOf(Math.max(...own))]!;
    });
    return rows.answers({
      language: { datatype: 'BYTES', dims: [texts.length], data: names },
      probabilities: { datatype: 'FP32', dims: [texts.length, labels.length], data: probabilities },
    });
  };

  return {
    inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
    outputs: [
      { name: 'language', datatype: 'BYTES', shape: [-1] },
      { name: 'probabilities', datatype: 'FP32', shape: [-1, labels.length] },
    ],
    execute,
  };
};

async function json<T>({ directory }: ModelContext, file: string): Promise<T> {
  return JSON.parse(await readFile(join(directory, file), 'utf8')) as T;
}
