/** The model `embed`: 384 numbers for a text; texts that mean the same lie close together. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor } from '../../proto/datatypes.js';
import type { ModelAnswer, ModelRequest, OpenModel } from '../model-server/code/model-code.js';
import { Rows } from '../rows/rows.js';
import { planRuns } from './runs.js';
import { type Tokens, WordPieceTokenizer } from './tokenizer.js';

/** What the recipe writes beside model.yaml. */
export const files = { network: 'model.onnx', vocabulary: 'vocab.txt' };

/** The longest text that the network was trained for, in tokens with [CLS] and [SEP]. */
const MAX_TOKENS = 256;

/** Loads the network and its vocabulary. */
export const open: OpenModel = async ({ directory, session }) => {
  const vocabulary = await readFile(join(directory, files.vocabulary), 'utf8');
  const tokenizer = new WordPieceTokenizer(vocabulary, MAX_TOKENS);
  const network = await session(files.network);
  const size = network.outputs[0]!.shape[1]!;

  const execute = async (requests: readonly ModelRequest[]): Promise<(ModelAnswer | Error)[]> => {
    const rows = Rows.of(requests, 'text');
    const tokens = rows.texts.map((text) => tokenizer.encode(text));
    const data = new Float32Array(tokens.length * size);
    for (const run of planRuns(tokens.map(({ ids }) => ids.length))) {
      // Between two runs is the one moment at which work for callers that have gone can end.
      if (requests.every(({ signal }) => signal.aborted))
        return requests.map(() => new Error('every caller has gone'));
      const answer = await network.run(padded(run.map((i) => tokens[i]!)));
      const embedding = answer['embedding']!.data as Float32Array;
      run.forEach((i, row) => {
        data.set(embedding.subarray(row * size, (row + 1) * size), i * size);
      });
    }
    const embedding: Tensor = { datatype: 'FP32', dims: [tokens.length, size], data };
    return withTruncated(rows, tokens, rows.answers({ embedding }));
  };

  return {
    inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
    outputs: [{ name: 'embedding', datatype: 'FP32', shape: [-1, size] }],
    execute,
  };
};

/** As wide as the longest; the mask says what is padding. */
function padded(rows: readonly Tokens[]): Record<string, Tensor> {
  const width = Math.max(...rows.map(({ ids }) => ids.length));
  const ids = new BigInt64Array(rows.length * width);
  const mask = new BigInt64Array(rows.length * width);
  rows.forEach((row, r) => {
    row.ids.forEach((id, i) => {
      ids[r * width + i] = BigInt(id);
      mask[r * width + i] = 1n;
    });
  });
  const dims = [rows.length, width];
  return {
    input_ids: { datatype: 'INT64', dims, data: ids },
    attention_mask: { datatype: 'INT64', dims, data: mask },
  };
}

/** Says how many texts of a request were too long to be read to their end. */
function withTruncated(rows: Rows, tokens: readonly Tokens[], answers: ModelAnswer[]): ModelAnswer[] {
  return answers.map((answer, r) => {
    const truncated = rows.of(r, tokens).filter(({ isTruncated }) => isTruncated).length;
    return truncated === 0 ? answer : { ...answer, parameters: { truncated: BigInt(truncated) } };
  });
}
