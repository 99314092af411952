import assert from 'node:assert/strict';
import { divide } from '../../../../../services/tokens/training/prose.js';

const chapter = (number: number) =>
  `CHAPTER ${number}. Title.\n\nFirst line of ${number}\nsecond line.\n\n\n\nNext paragraph.\n\n\n`;

describe('the book', () => {
  const { training, heldOut } = divide(Array.from({ length: 31 }, (_, i) => chapter(i + 1)).join(''));
  const numbers = (text: string) => [...text.matchAll(/CHAPTER (\d+)/g)].map(([, number]) => Number(number));

  it('is divided by chapters: every fifteenth is held out, each is in one part', () => {
    assert.deepEqual(numbers(heldOut), [15, 30]);
    assert.deepEqual(
      numbers(training),
      Array.from({ length: 31 }, (_, i) => i + 1).filter((number) => number % 15 !== 0),
    );
  });

  it('has its lines joined to paragraphs, with a blank line between them', () => {
    const first = 'CHAPTER 15. Title.\n\nFirst line of 15 second line.\n\nNext paragraph.\n\n';
    assert.ok(heldOut.startsWith(`${first}CHAPTER 30.`), JSON.stringify(heldOut.slice(0, 120)));
  });
});
