/**
 * What the page keeps from one look to the next of sidecars whose report it does not get: metrics say what is so, not since when, and of
 * ejections how many there were, not which came last.
 */
export class CatalogMemory {
  private nowMs = 0;
  private readonly states = new Map<string, { state: string; atMs: number; seenMs: number }>();
  private readonly ejections = new Map<
    string,
    { counts: ReadonlyMap<string, number>; latest: string; seenMs: number }
  >();

  /** Begins a look. @param nowMs monotonic. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
  }

  /** Ends a look: what was not seen in it is forgotten, so that a mesh that changes for weeks stays small. */
  end(): void {
    for (const known of [this.states, this.ejections])
      for (const [key, { seenMs }] of known) if (seenMs < this.nowMs) known.delete(key);
  }

  /** For how many ms something has been in a state, as far as this process has seen it. */
  since(what: string, state: string): number {
    const { nowMs } = this;
    const before = this.states.get(what);
    const atMs = before?.state === state ? before.atMs : nowMs;
    this.states.set(what, { state, atMs, seenMs: nowMs });
    return nowMs - atMs;
  }

  /**
   * The detector whose count of ejections rose last; at the first look every one that has any, joined by `or`. Empty: there was
   * none.
   */
  latestDetector(what: string, counts: ReadonlyMap<string, number>): string {
    const before = this.ejections.get(what);
    const rose = [...counts].filter(([name, count]) => count > (before?.counts.get(name) ?? 0));
    const latest = rose.length === 0 ? (before?.latest ?? '') : rose.map(([name]) => name).join(' or ');
    this.ejections.set(what, { counts, latest, seenMs: this.nowMs });
    return latest;
  }
}
