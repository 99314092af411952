/**
 * A one-sided cumulative sum (Page 1954): adds what each observation is above its expectation, less a slack, and never falls below 0.
 * A shift that single observations hide adds up, and noise does not. An alarm is a sum above a threshold, which the caller compares.
 */
export class Cusum {
  /** 0 while there is nothing to suspect; at most the `most` of the last `add`. */
  sum = 0;

  /**
   * One more observation.
   * @param excess above what is expected, in any unit; below it is negative.
   * @param slack half of the shift that is to be found soonest, in that unit.
   * @param most bound of the sum, so that what is over is forgotten in bounded time.
   */
  add(excess: number, slack: number, most: number): void {
    this.sum = Math.min(most, Math.max(0, this.sum + excess - slack));
  }

  /** There was nothing to observe: what was found fades. @param kept part of the sum that stays. */
  fade(kept: number): void {
    this.sum *= kept;
  }

  clear(): void {
    this.sum = 0;
  }
}
