/** A line as it was read. */
export interface ReadLine {
  readonly text: string;
  /** Mean probability of the characters, 0 for an empty line. */
  readonly confidence: number;
}

/**
 * Greedy decoding of Connectionist Temporal Classification (Graves et al. 2006): the likeliest class of each step; repeats
 * are one character; class 0, the blank, is none.
 *
 * @param probabilities [steps, classes], row by row.
 * @param characters of the classes from 1 on; there are `classes` − 1.
 */
export function decode(probabilities: Float32Array, characters: readonly string[]): ReadLine {
  const classes = characters.length + 1;
  let text = '';
  let sum = 0;
  let count = 0;
  let before = 0;
  for (let row = 0; row + classes <= probabilities.length; row += classes) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (probabilities[row + c]! > probabilities[row + best]!) best = c;
    if (best !== 0 && best !== before) {
      text += characters[best - 1]!;
      sum += probabilities[row + best]!;
      count++;
    }
    before = best;
  }
  return { text: text.trim(), confidence: count === 0 ? 0 : sum / count };
}
