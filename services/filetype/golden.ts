import type { Golden } from '../fetch/recipe.js';

const CONTENT = '{"a": 1, "b": [1,2,3]}\n';
const bytes = [...Buffer.from(CONTENT)];

/** A file so small that the network is not quite sure. The expected values are those of the package itself (magika 1.0.3). */
export const GOLDEN: Golden = {
  tolerance: 0.0001,
  inputs: { content: { shape: [bytes.length], values: bytes } },
  outputs: {
    label: { values: ['json'] },
    mime_type: { values: ['application/json'] },
    score: { values: [0.973472] },
  },
};
