type Counts = ReadonlyMap<string, number>;

/**
 * The counts of a model over all processes that have served it one after the other at one place. A process that is started
 * again counts from 0; what it had counted when it was last asked is kept, so that no count ever goes back.
 */
export class StatisticsTotal {
  private ended: Counts = new Map();
  private last: Counts = new Map();
  private process = '';

  /** Takes over what a process says it has counted. @param process tells one process from the next. */
  take(process: string, counts: Counts): void {
    if (process !== this.process || isLess(counts, this.last)) this.ended = addCounts(this.ended, this.last);
    this.process = process;
    this.last = counts;
  }

  get counts(): Counts {
    return addCounts(this.ended, this.last);
  }
}

/** The sum of two sets of counts, by their names. */
export function addCounts(one: Counts, other: Counts): Counts {
  const sum = new Map(one);
  for (const [key, count] of other) sum.set(key, (sum.get(key) ?? 0) + count);
  return sum;
}

function isLess(counts: Counts, than: Counts): boolean {
  for (const [key, count] of than) if ((counts.get(key) ?? 0) < count) return true;
  return false;
}
