/** A rectangle in the picture, by its middle. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A line and the size of the words on it. */
export interface Labelled {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  readonly width: number;
  readonly height: number;
}

/** Places along a line, from the best to the worst: the middle, then towards either end. */
const ALONG = [0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2] as const;
/** Where two services call each other both lines are one: the words of the second stand below it, or above it, by their height. */
const BESIDE = [0, 1, -1] as const;

/**
 * Where the words of each line stand, so that words cover neither other words nor services: the first place along the line that is free.
 * Where none is, words stand where they cover least. Lines are taken in their order: greedy, as there are few.
 *
 * @param taken what is there already.
 */
export function labelPlaces(lines: readonly Labelled[], taken: readonly Box[]): Box[] {
  const placed: Box[] = [];
  for (const { x1, y1, x2, y2, width, height } of lines) {
    const places = BESIDE.flatMap((side) =>
      ALONG.map((share) => {
        const [x, y] = [x1 + (x2 - x1) * share, y1 + (y2 - y1) * share];
        return { x, y: y + side * height, width, height };
      }),
    );
    const costs = places.map((place) =>
      [...taken, ...placed].reduce((sum, box) => sum + covered(place, box), 0),
    );
    placed.push(places[costs.indexOf(Math.min(...costs))]!);
  }
  return placed;
}

/** The area that two boxes share. */
function covered(a: Box, b: Box): number {
  const shared = (at: 'x' | 'y', size: 'width' | 'height') =>
    Math.max(0, (a[size] + b[size]) / 2 - Math.abs(a[at] - b[at]));
  return shared('x', 'width') * shared('y', 'height');
}
