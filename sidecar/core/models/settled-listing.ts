/** A version of a model as its directory shows it. */
export interface Revision {
  readonly name: string;
  readonly version: string;
  /** Names, sizes and times of its files: another fingerprint means that something has changed. */
  readonly fingerprint: string;
}

/** How long a directory has to stay as it is before it counts as complete, ms: a copy under way changes it more often. */
export const SETTLE_MS = 1_000;

interface Seen {
  /** As found last; undefined: it was not there. */
  found: Revision | undefined;
  sinceMs: number;
  /** As it was when it had last stayed the same for long enough. */
  settled: Revision | undefined;
}

/**
 * The versions of a repository as they are once nothing moves: what is being copied, replaced or removed counts as it was
 * before until it has stayed the same for `SETTLE_MS`. The first observation counts at once: what is there at the start is
 * served.
 */
export class SettledListing {
  private readonly seen = new Map<string, Seen>();
  private isFirst = true;

  /** Takes over what a scan has found. */
  observe(found: readonly Revision[], nowMs: number): void {
    const byKey = new Map(found.map((each) => [keyOf(each), each]));
    for (const key of byKey.keys())
      if (!this.seen.has(key))
        this.seen.set(key, { found: undefined, sinceMs: Number.NEGATIVE_INFINITY, settled: undefined });
    for (const [key, each] of this.seen) {
      const now = byKey.get(key);
      if (now?.fingerprint !== each.found?.fingerprint) {
        each.found = now;
        each.sinceMs = nowMs;
      }
      if (this.isFirst || nowMs - each.sinceMs >= SETTLE_MS) each.settled = each.found;
      if (each.found === undefined && each.settled === undefined) this.seen.delete(key);
    }
    this.isFirst = false;
  }

  /** What has been found of this model counts now, settled or not: it is asked for. */
  accept(name: string): void {
    for (const each of this.seen.values())
      if ((each.found ?? each.settled)?.name === name) each.settled = each.found;
  }

  /** Something has not yet stayed the same for long enough: another scan has to tell. */
  get isMoving(): boolean {
    for (const { found, settled } of this.seen.values())
      if (found?.fingerprint !== settled?.fingerprint) return true;
    return false;
  }

  /** The versions that count, in the order in which they were first seen. */
  revisions(): readonly Revision[] {
    return [...this.seen.values()].flatMap(({ settled }) => settled ?? []);
  }
}

function keyOf({ name, version }: Revision): string {
  return `${version}/${name}`;
}
