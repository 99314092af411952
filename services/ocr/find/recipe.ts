import type { Recipe } from '../../fetch/recipe.js';
import { goldenPage } from '../golden-picture.js';
import { OCR_MODELS, paths } from '../source.js';
import { files } from './model.js';

/** Makes `find` version 4, that of PP-OCR. */
export const find: Recipe = {
  name: 'ocr/find',
  code: new URL('../', import.meta.url),
  sources: [OCR_MODELS],
  async build(read) {
    const page = goldenPage();
    return [
      {
        model: 'find',
        version: '4',
        files: { [files.network]: await read(paths.find) },
        card: {
          description: 'The lines of text in a picture of a page',
          code: new URL('model.js', import.meta.url),
          properties: { input_kind: 'image/rgb', output_kind: 'boxes' },
          keys: {
            memory: '400MiB',
            // While one page waits for the two models behind, the network runs for another. More would all be late together.
            concurrency: 2,
          },
          golden: {
            // A pixel or two at the edges of the word.
            tolerance: 0.1,
            inputs: {
              image: { shape: [page.height, page.width, 3], values: [...page.rgb] },
              // The proof asks no other service, so that one that is away keeps no `find` from being loaded.
              read_text: { shape: [1], values: [false] },
            },
            outputs: { boxes: { values: [13, 16, 152, 49] } },
          },
        },
      },
    ];
  },
};
