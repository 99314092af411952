/** A trend in a series of equidistant values. */
export interface Trend {
  /** Median of the slopes between all pairs of values, per step. */
  readonly slope: number;
  /** How sure it is that there is one: standard deviations by which rises outnumber falls; above 0 upwards. */
  readonly z: number;
}

/**
 * Robust trend of a series: slope by Theil and Sen (Sen 1968), which a third of wild values does not move, and the test of
 * Mann and Kendall (Mann 1945), which is about order alone. O(n²): for some tens of values.
 *
 * @param values three at least, in the order of time.
 */
export function trendOf(values: ArrayLike<number>): Trend {
  const n = values.length;
  const slopes: number[] = [];
  let rises = 0;
  for (let later = 1; later < n; later += 1)
    for (let earlier = 0; earlier < later; earlier += 1) {
      const difference = values[later]! - values[earlier]!;
      rises += Math.sign(difference);
      slopes.push(difference / (later - earlier));
    }
  slopes.sort((a, b) => a - b);
  const middle = slopes.length >> 1;
  const slope = slopes.length % 2 === 1 ? slopes[middle]! : (slopes[middle - 1]! + slopes[middle]!) / 2;
  const deviation = Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  return { slope, z: rises / deviation };
}

/** The last values of a series, oldest first. */
export class LastValues {
  private values: number[] = [];

  constructor(private readonly size: number) {}

  get count(): number {
    return this.values.length;
  }

  get isFull(): boolean {
    return this.values.length === this.size;
  }

  add(value: number): void {
    this.values.push(value);
    if (this.values.length > this.size) this.values.shift();
  }

  /** From this one on; by default all. */
  from(start = 0): readonly number[] {
    return start === 0 ? this.values : this.values.slice(start);
  }

  clear(): void {
    this.values = [];
  }
}
