import assert from 'node:assert/strict';
import { withChecksum, withGolden } from '../../../../../services/model-server/authoring/renewed-card.js';

const BLOCK = `golden:
  tolerance: 0.001
  inputs:
    "x":
      shape: [1, 2]
      values: [0.5, 1]
  outputs:
    "y":
      values: |
        1 2 3
        4 5 6
`;

describe('a card with a new golden block', () => {
  it('keeps its other keys, their spelling and every comment', () => {
    const card = `# about the model
description: "Tells" # in a sentence
labels: ["0", "1"]

# measured
batching: { max_batch: 8 }
golden: # of zeros
  inputs: {}
  outputs: {}
`;
    const kept = card.slice(0, card.indexOf('golden:'));
    assert.equal(withGolden(card, BLOCK), `${kept}${BLOCK}`);
  });

  it('keeps what stands behind the block', () => {
    const card = 'golden:\n  inputs: {}\n  outputs: {}\n# last\nproperties:\n  a: 1\n';
    assert.equal(withGolden(card, BLOCK), `${BLOCK}# last\nproperties:\n  a: 1\n`);
  });

  it('gets the block where it had none, also when it is empty', () => {
    assert.equal(withGolden('description: a\n', BLOCK), `description: a\n${BLOCK}`);
    assert.equal(withGolden('# nothing yet\n', BLOCK), `# nothing yet\n${BLOCK}`);
  });

  it('is refused when it is no map, or not YAML', () => {
    assert.throws(() => withGolden('- a\n', BLOCK), /found no keys, expected a map/);
    assert.throws(() => withGolden('a: [1\n', BLOCK), /model\.yaml is not YAML/);
  });
});

describe('a card with the sum of another file', () => {
  const sum = 'b'.repeat(64);

  it('keeps every other character, in lines and in braces', () => {
    for (const around of [
      '# a\nsha256: X # of it\nlabels: [a]\n',
      'sha256: "X"\n',
      '{ "sha256": "X", "labels": ["a"] }',
    ]) {
      const card = around.replace('X', 'a'.repeat(64));
      assert.equal(withChecksum(card, sum), around.replace('X', sum));
    }
  });

  it('is as it was where it has none', () =>
    assert.equal(withChecksum('labels: [a]\n', sum), 'labels: [a]\n'));
});
