/** Something that belongs to a caller. */
export interface HeldByCaller {
  /** The caller's connection. */
  readonly holder: object;
}

/**
 * Attempts that wait for a connection: callers by turns, and each caller's in the order of arrival, so that a caller
 * with thousands of waiting calls does not delay another's only one.
 */
export class ConnectionWaiters<W extends HeldByCaller> {
  /** Callers in the order of their turns, the next one first. */
  private readonly byHolder = new Map<object, W[]>();
  size = 0;

  add(waiter: W): void {
    const own = this.byHolder.get(waiter.holder);
    if (own === undefined) this.byHolder.set(waiter.holder, [waiter]);
    else own.push(waiter);
    this.size++;
  }

  /** Takes out the next one; undefined: none is left. */
  take(): W | undefined {
    for (const [holder, own] of this.byHolder) {
      const waiter = own.shift()!;
      this.size--;
      this.byHolder.delete(holder);
      if (own.length > 0) this.byHolder.set(holder, own);
      return waiter;
    }
    return undefined;
  }

  remove(waiter: W): void {
    const own = this.byHolder.get(waiter.holder);
    const at = own === undefined ? -1 : own.indexOf(waiter);
    if (at < 0) return;
    own!.splice(at, 1);
    this.size--;
    if (own!.length === 0) this.byHolder.delete(waiter.holder);
  }

  /** Whether any other than this holder's wait. */
  hasOthersThan(holder: object): boolean {
    return this.byHolder.size > (this.byHolder.has(holder) ? 1 : 0);
  }

  /** Takes out all of them, by turns. */
  clear(): W[] {
    const all: W[] = [];
    for (let each = this.take(); each !== undefined; each = this.take()) all.push(each);
    return all;
  }
}
