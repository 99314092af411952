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
  /** By endpoint, the part of each class, 0 to 1. */
  private readonly shares: readonly Float64Array[];

  /** @param byClass of each class, by endpoint, its calls there; undefined: none. @param endpoints how many there are. */
  constructor(byClass: readonly (readonly (ClassCalls | undefined)[])[], endpoints: number) {
    const costs = byClass.map((row) =>
      Math.min(...row.map((each) => each?.medianMs ?? Number.POSITIVE_INFINITY)),
    );
    this.shares = Array.from({ length: endpoints }, (_, i) => {
      const work = Float64Array.from(byClass, (row, c) =>
        row[i] === undefined ? 0 : row[i].calls * costs[c]!,
      );
      const all = work.reduce((sum, each) => sum + each, 0);
      return all === 0 ? work : work.map((each) => each / all);
    });
  }

  /** The part of an endpoint's work, 0 to 1, that is beyond what `peers` do of the same classes in the mean. */
  beyondPeers(endpoint: number, peers: readonly number[]): number {
    let beyond = 0;
    this.shares[endpoint]!.forEach((share, c) => {
      let sum = 0;
      for (const peer of peers) sum += this.shares[peer]![c]!;
      beyond += Math.max(0, share - sum / peers.length);
    });
    return beyond;
  }
}
