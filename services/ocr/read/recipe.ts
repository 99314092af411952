import type { Recipe } from '../../fetch/recipe.js';
import { goldenLine, WORD } from '../golden-picture.js';
import { LINE_HEIGHT } from '../lines.js';
import { OCR_MODELS, paths } from '../source.js';
import { files } from './model.js';

/** Makes `read` version 4, that of PP-OCR. */
export const read: Recipe = {
  name: 'ocr/read',
  code: new URL('../', import.meta.url),
  sources: [OCR_MODELS],
  async build(content) {
    const line = goldenLine();
    return [
      {
        model: 'read',
        version: '4',
        files: {
          [files.network]: await content(paths.read),
          [files.characters]: await content(paths.characters),
        },
        card: {
          description: 'The text in pictures of single lines',
          code: new URL('model.js', import.meta.url),
          keys: { memory: '180MiB' },
          golden: {
            tolerance: 0.02,
            inputs: {
              lines: { shape: [1, LINE_HEIGHT, line.width, 3], values: [...line.rgb] },
              widths: { shape: [1], values: [line.width] },
            },
            outputs: { text: { values: [WORD] } },
          },
        },
      },
    ];
  },
};
