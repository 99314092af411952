import assert from 'node:assert/strict';
import { decode } from '../../../../../services/ocr/read/ctc.js';

const CHARACTERS = ['a', 'b', ' '];

/** One step for each letter of `path` (`-` is the blank), each with this probability; the others share the rest. */
function steps(path: string, probability = 0.8): Float32Array {
  const classes = ['-', ...CHARACTERS];
  return Float32Array.from(
    [...path].flatMap((letter) =>
      classes.map((name) => (name === letter ? probability : (1 - probability) / CHARACTERS.length)),
    ),
  );
}

describe('greedy decoding', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['ab', 'ab'],
    ['aab', 'ab'],
    ['a-ab', 'aab'],
    ['--a--b-', 'ab'],
    ['a b', 'a b'],
    [' a- ', 'a'],
    ['---', ''],
    ['', ''],
  ];
  for (const [path, text] of cases)
    it(`reads '${text}' from the steps '${path}'`, () =>
      assert.equal(decode(steps(path), CHARACTERS).text, text));

  it('is as sure as the characters are on average, without blanks and repeats', () => {
    const probabilities = Float32Array.from([
      ...steps('a', 0.9),
      ...steps('a', 0.4),
      ...steps('-', 1),
      ...steps('b', 0.7),
    ]);
    assert.ok(Math.abs(decode(probabilities, CHARACTERS).confidence - 0.8) < 1e-6);
  });

  it('is not sure at all of a line without characters', () => {
    assert.equal(decode(steps('--'), CHARACTERS).confidence, 0);
  });
});
