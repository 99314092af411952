import type { PackageSource, Recipe } from '../fetch/recipe.js';
import { GOLDEN } from './golden.js';
import { files } from './model.js';

const NETWORK = 'dist/silero_vad_v6.onnx';
const VAD_WEB: PackageSource = {
  registry: 'npm',
  name: '@ricky0123/vad-web',
  version: '0.0.31',
  licence: 'ISC (package), MIT (network, Silero)',
  files: [
    {
      path: NETWORK,
      bytes: 2_327_524,
      sha256: '1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3',
    },
  ],
};

/** Makes `vad` version 6, that of the network. */
export const vad: Recipe = {
  name: 'vad',
  code: new URL('.', import.meta.url),
  sources: [VAD_WEB],
  async build(read) {
    return [
      {
        model: 'vad',
        version: '6',
        files: { [files.network]: await read(NETWORK) },
        card: {
          description: 'Where in a recording there is speech',
          code: new URL('model.js', import.meta.url),
          properties: { input_kind: 'audio/16khz', output_kind: 'speech' },
          keys: { memory: '140MiB', sequence: { idle: '30s', max: 1000 } },
          golden: GOLDEN,
        },
      },
    ];
  },
};
