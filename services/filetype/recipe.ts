import type { PackageSource, Recipe } from '../fetch/recipe.js';
import { GOLDEN } from './golden.js';
import { files } from './model.js';
import type { VerdictConfig } from './verdict.js';

const FOLDER = 'magika/models/standard_v3_3';
const network = `${FOLDER}/model.onnx`;
const config = `${FOLDER}/config.min.json`;
const types = 'magika/config/content_types_kb.min.json';

const MAGIKA: PackageSource = {
  registry: 'pypi',
  name: 'magika',
  version: '1.0.3',
  licence: 'Apache-2.0',
  files: [
    {
      path: network,
      bytes: 3_163_737,
      sha256: 'fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c',
    },
    {
      path: config,
      bytes: 2141,
      sha256: 'ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db',
    },
    {
      path: types,
      bytes: 44_768,
      sha256: '75208adba69bc0556403b62b32ef3ccf8b5ce494411780845852e52e6583a10d',
    },
  ],
};

/** Makes `filetype` version 1: the network as it is. */
export const filetype: Recipe = {
  name: 'filetype',
  code: new URL('.', import.meta.url),
  sources: [MAGIKA],
  async build(read) {
    const settings = await read(config);
    const { target_labels_space: labels } = JSON.parse(settings.toString()) as VerdictConfig;
    return [
      {
        model: 'filetype',
        version: '1',
        files: {
          [files.network]: await read(network),
          [files.config]: settings,
          [files.types]: await read(types),
        },
        card: {
          description: 'What kind of file some bytes are: magika, 214 types',
          code: new URL('model.js', import.meta.url),
          properties: { input_kind: 'bytes' },
          keys: { memory: '130MiB', labels },
          golden: GOLDEN,
        },
      },
    ];
  },
};
