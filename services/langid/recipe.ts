import type { PackageSource, Recipe } from '../fetch/recipe.js';
import { exportedJson, toOnnx } from './convert.js';
import { GOLDEN } from './golden.js';
import { files, labelsOf } from './model.js';

const LANDE: PackageSource = {
  registry: 'npm',
  name: 'lande',
  version: '1.0.10',
  licence: 'MIT',
  files: [
    {
      path: 'standalone/t50-options.js',
      bytes: 109_309,
      sha256: 'cd199ed06f759cdf90527d32612049d8dd34c755ba7288e26f61a2609168c13c',
    },
    {
      path: 'standalone/t50-ngrams.js',
      bytes: 4188,
      sha256: '00216250cc4d1526ba76e787d99467290ec5fedb0c53b70aab68c5c435cc78cc',
    },
    {
      path: 'standalone/t50-langs.js',
      bytes: 317,
      sha256: 'b242071a51e94386dce00e22ad3e32e7db7cbdf18c5fe1b16c5d38c7683d818a',
    },
  ],
};

/** Makes `langid` version 1. */
export const langid: Recipe = {
  name: 'langid',
  code: new URL('.', import.meta.url),
  sources: [LANDE],
  async build(read) {
    const [options, ngrams, languages] = await Promise.all(
      LANDE.files.map(async ({ path }) => exportedJson((await read(path)).toString())),
    );
    return [
      {
        model: 'langid',
        version: '1',
        files: {
          [files.network]: toOnnx((options as { layers: Parameters<typeof toOnnx>[0] }).layers),
          [files.ngrams]: JSON.stringify(ngrams),
          [files.languages]: JSON.stringify(languages),
        },
        card: {
          description: 'In which of 50 languages a text is written',
          code: new URL('model.js', import.meta.url),
          keys: {
            memory: '110MiB',
            labels: labelsOf(languages as readonly string[]),
            batching: { max_batch: 64 },
          },
          golden: GOLDEN,
        },
      },
    ];
  },
};
