/**
 * A length of time in ms; `never` for something that had to happen and did not within the run; undefined for something that this
 * arm or this drill does not have.
 */
export type Span = number | 'never' | undefined;

/** The value in the middle, and the least and the greatest one, of several runs. */
export interface Spread<T> {
  readonly median: T;
  readonly least: T;
  readonly most: T;
}

/** `never` is longer than every time. */
export function spanOrder(span: number | 'never'): number {
  return span === 'never' ? Number.POSITIVE_INFINITY : span;
}

/** What {@link spanOrder} has made a number of. */
export function spanFrom(order: number): number | 'never' {
  return order === Number.POSITIVE_INFINITY ? 'never' : order;
}

/**
 * Of the runs that have one; undefined where none has. The median of an even number is the mean of the two in the middle, and
 * `never` where one of these is.
 */
export function spreadOf(values: readonly Span[]): Spread<number | 'never'> | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => spanOrder(a) - spanOrder(b));
  const [lower, upper] = [known[(known.length - 1) >> 1], known[known.length >> 1]];
  if (lower === undefined || upper === undefined) return undefined;
  const median = lower === 'never' || upper === 'never' ? 'never' : (lower + upper) / 2;
  return { median, least: known[0]!, most: known.at(-1)! };
}
