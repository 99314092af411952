/** Calls of one class at one endpoint. */
export interface ClassCalls {
  readonly calls: number;
  readonly medianMs: number;
}

/**
 * What part of an endpoint's work is of which class: calls times what one costs, which is the lowest median that any endpoint has for the
 * class, as a call that waited did not run longer. A call also waits for those of other classes before it. So the times of endpoints
 * can be compared, also for calls of one class, only where these do about the same work beside them: not where one has the calls of a slow
 * model, and another those of a quick one and passes some on.
 */
export class WorkMix {
  /** By class, what one call costs, ms. */
  private readonly costs: readonly number[];
  /** By class, whether a single endpoint has calls of it. */
  private readonly isLone: readonly boolean[];
  /** By endpoint, the part of each class, 0 to 1. */
  private readonly shares: readonly Float64Array[];

  /** @param byClass of each class, by endpoint, its calls there; undefined: none. @param endpoints how many there are. */
  constructor(
    private readonly byClass: readonly (readonly (ClassCalls | undefined)[])[],
    endpoints: number,
  ) {
    this.costs = byClass.map((row) =>
      row.reduce((least, each) => Math.min(least, each?.medianMs ?? least), Number.POSITIVE_INFINITY),
    );
    this.isLone = byClass.map((row) => row.filter((each) => each !== undefined).length === 1);
    this.shares = Array.from({ length: endpoints }, (_, i) => {
      const work = Float64Array.from(byClass, (row, c) =>
        row[i] === undefined ? 0 : row[i].calls * this.costs[c]!,
      );
      const all = work.reduce((sum, each) => sum + each, 0);
      return all === 0 ? work : work.map((each) => each / all);
    });
  }

  /**
   * For the comparison of `endpoints` at calls of one class: the part of an endpoint's work, 0 to 1, that is of other classes and beyond
   * what the others of them do of the same in the mean. The compared class itself does not count: an endpoint with more of that than
   * its peers has less else to wait for.
   *
   * What a call costs of a class that only this endpoint has is not known where the endpoint itself is slow. Each of its `turns`, calls
   * of the compared class that took long one after the other, must have waited for a run of its own; with fewer than half as many runs of
   * such classes they are not the reason, and cost as many times less as the endpoint is slower than the quickest at the compared class.
   * Otherwise one call of a rare class would hide a slow endpoint.
   * @param callClass index in `byClass`. @param endpoints two at least, each with calls of this class.
   */
  beyondPeers(callClass: number, endpoints: readonly number[]): (endpoint: number, turns: number) => number {
    const { byClass, costs, isLone, shares } = this;
    // One sum for all of them: otherwise each would be compared with each other one, at each class, for each compared class.
    const sums = new Float64Array(costs.length);
    for (const i of endpoints) for (let c = 0; c < sums.length; c += 1) sums[c]! += shares[i]![c]!;
    return (endpoint, turns) => {
      const timesSlower = byClass[callClass]![endpoint]!.medianMs / costs[callClass]!;
      const divisor = this.loneCalls(endpoint) * 2 < turns ? timesSlower : 1;
      const own = shares[endpoint]!;
      let all = 0;
      for (let c = 0; c < own.length; c += 1) all += isLone[c] ? own[c]! / divisor : own[c]!;
      let beyond = 0;
      for (let c = 0; c < own.length; c += 1) {
        if (c === callClass) continue;
        const share = (isLone[c] ? own[c]! / divisor : own[c]!) / all;
        beyond += Math.max(0, share - (sums[c]! - own[c]!) / (endpoints.length - 1));
      }
      return beyond;
    };
  }

  /** Calls of the classes that no other endpoint has. */
  private loneCalls(endpoint: number): number {
    let calls = 0;
    for (let c = 0; c < this.isLone.length; c += 1)
      if (this.isLone[c]) calls += this.byClass[c]![endpoint]?.calls ?? 0;
    return calls;
  }
}
