/** Who is next: one of each caller in turn, and of one caller the first that came. */
export class Turns<Entry> {
  /** In the order of their turns. */
  private readonly byCaller = new Map<string, Set<Entry>>();

  add(caller: string, entry: Entry): void {
    const known = this.byCaller.get(caller);
    if (known !== undefined) known.add(entry);
    else this.byCaller.set(caller, new Set([entry]));
  }

  /** It waits no longer. */
  remove(caller: string, entry: Entry): void {
    const own = this.byCaller.get(caller);
    own?.delete(entry);
    if (own?.size === 0) this.byCaller.delete(caller);
  }

  /** Takes the next one out; undefined: none waits. */
  next(): Entry | undefined {
    for (const [caller, own] of this.byCaller) {
      this.byCaller.delete(caller);
      const [entry] = own;
      own.delete(entry!);
      // Behind the others.
      if (own.size > 0) this.byCaller.set(caller, own);
      return entry;
    }
    return undefined;
  }
}
