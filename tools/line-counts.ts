/** Lines of one or more files, by what stands on them. A line that has code and a comment counts as code. */
export interface LineCounts {
  readonly lines: number;
  readonly comments: number;
  readonly blank: number;
}

/** Counts the lines of a TypeScript source. A final newline begins no further line. */
export function countLines(source: string): LineCounts {
  const lines = source.split('\n');
  if (lines.at(-1) === '') lines.pop();
  let [comments, blank, isInside] = [0, 0, false];
  for (const line of lines) {
    const text = line.trim();
    if (text === '') blank++;
    else if (isInside || /^(?:\/\/|\/\*)/.test(text)) comments++;
    if (text.startsWith('/*')) isInside = true;
    if (text.includes('*/')) isInside = false;
  }
  return { lines: lines.length, comments, blank };
}

/** The counts of several files as one. */
export function sumOfLines(counts: readonly LineCounts[]): LineCounts {
  const sum = (of: (each: LineCounts) => number): number =>
    counts.reduce((total, each) => total + of(each), 0);
  return {
    lines: sum((each) => each.lines),
    comments: sum((each) => each.comments),
    blank: sum((each) => each.blank),
  };
}

/** Comments among the lines that are not blank, 0–1. */
export function commentShare({ lines, comments, blank }: LineCounts): number {
  return lines === blank ? 0 : comments / (lines - blank);
}
