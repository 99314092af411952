/** How a sample of many elements is taken: `runs` runs of `length` elements each. */
export interface Runs {
  readonly runs: number;
  readonly length: number;
  /** The same seed gives the same places. */
  readonly seed: number;
}

/**
 * Where the runs of a sample begin, in ascending order: the elements are divided into as many equal parts as there are runs,
 * and in each part the run begins where chance says, so that no pattern of the elements escapes. There must be room for
 * a run in each part.
 */
export class RunPlaces {
  private part = 0;
  private state: number;

  constructor(
    private readonly count: number,
    private readonly sample: Runs,
  ) {
    this.state = sample.seed | 1;
  }

  /** Index of the first element of the next run. */
  next(): number {
    const { count, sample, part } = this;
    const begin = Math.floor((part * count) / sample.runs);
    const room = Math.floor(((part + 1) * count) / sample.runs) - begin - sample.length;
    this.part++;
    return begin + Math.floor(this.chance() * (room + 1));
  }

  /** Marsaglia's xorshift, from 0 to below 1: good enough to pick places, and no more than a few instructions. */
  private chance(): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) / 2 ** 32;
  }
}
