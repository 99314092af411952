/** The model `filetype`: what kind of file some bytes are. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelAnswer, ModelRequest, OpenModel } from '../model-server/code/model-code.js';
import { type FeatureConfig, featureCount, featuresOf, requireKnown } from './features.js';
import {
  type ContentTypes,
  mimeTypeOf,
  type Verdict,
  type VerdictConfig,
  verdictOf,
  verdictOfFew,
} from './verdict.js';

/** What the recipe writes beside model.yaml. */
export const files = { network: 'model.onnx', config: 'config.json', types: 'content-types.json' };

/** Loads the network, its settings and what is known of the types. */
export const open: OpenModel = async ({ directory, session }) => {
  const json = async <T>(file: string): Promise<T> =>
    JSON.parse(await readFile(join(directory, file), 'utf8')) as T;
  const config = await json<FeatureConfig & VerdictConfig>(files.config);
  const types = await json<ContentTypes>(files.types);
  requireKnown(config);
  const network = await session(files.network);
  const classes = config.target_labels_space.length;

  /** Rows of probabilities for those files that the network can judge. */
  const judge = async (features: readonly Int32Array[]): Promise<Float32Array> => {
    if (features.length === 0) return new Float32Array(0);
    const width = featureCount(config);
    const data = new Int32Array(features.length * width);
    features.forEach((own, row) => {
      data.set(own, row * width);
    });
    const dims = [features.length, width];
    const { target_label: answer } = await network.run({ bytes: { datatype: 'INT32', dims, data } });
    return answer!.data as Float32Array;
  };

  const answerWith = ({ label, score }: Verdict, probabilities: Float32Array): ModelAnswer => ({
    outputs: {
      label: { datatype: 'BYTES', dims: [1], data: [label] },
      mime_type: { datatype: 'BYTES', dims: [1], data: [mimeTypeOf(label, types)] },
      score: { datatype: 'FP32', dims: [1], data: new Float32Array([score]) },
      probabilities: { datatype: 'FP32', dims: [1, classes], data: probabilities },
    },
  });

  const execute = async (requests: readonly ModelRequest[]): Promise<ModelAnswer[]> => {
    const contents = requests.map(({ inputs }) => inputs['content']!.data as Uint8Array);
    const features = contents.map((content) => featuresOf(content, config));
    const judged = await judge(features.filter((own) => own !== undefined));
    let row = 0;
    return contents.map((content, i) => {
      if (features[i] === undefined)
        return answerWith(verdictOfFew(content, config.block_size), new Float32Array(classes));
      const own = judged.slice(row * classes, (row + 1) * classes);
      row += 1;
      return answerWith(verdictOf(own, config, types), own);
    });
  };

  return {
    inputs: [{ name: 'content', datatype: 'UINT8', shape: [-1] }],
    outputs: [
      { name: 'label', datatype: 'BYTES', shape: [1] },
      { name: 'mime_type', datatype: 'BYTES', shape: [1] },
      { name: 'score', datatype: 'FP32', shape: [1] },
      { name: 'probabilities', datatype: 'FP32', shape: [1, classes] },
    ],
    execute,
  };
};
