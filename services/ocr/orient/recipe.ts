import type { Recipe } from '../../fetch/recipe.js';
import { goldenLine } from '../golden-picture.js';
import { LINE_HEIGHT } from '../lines.js';
import { turned } from '../picture.js';
import { OCR_MODELS, paths } from '../source.js';
import { files } from './model.js';

/** Makes `orient` version 2, that of PP-OCR's classifier. */
export const orient: Recipe = {
  name: 'ocr/orient',
  code: new URL('../', import.meta.url),
  sources: [OCR_MODELS],
  async build(read) {
    const upright = goldenLine();
    const lines = [...upright.rgb, ...turned(upright).rgb];
    return [
      {
        model: 'orient',
        version: '2',
        files: { [files.network]: await read(paths.orient) },
        card: {
          description: 'Which lines of text stand upside down',
          code: new URL('model.js', import.meta.url),
          keys: { memory: '140MiB' },
          golden: {
            tolerance: 0,
            inputs: {
              lines: { shape: [2, LINE_HEIGHT, upright.width, 3], values: lines },
              widths: { shape: [2], values: [upright.width, upright.width] },
            },
            outputs: { angle: { values: [0, 180] } },
          },
        },
      },
    ];
  },
};
