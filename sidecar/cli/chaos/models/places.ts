/**
 * The places of a model process, as in a server with a thread pool: so many calls run at once, and more wait in line, first come first
 * served. A call whose caller has gone while it waited is passed over: a server that works on it all the same only wastes the place.
 */
export class Places {
  private taken = 0;
  private readonly line: (() => void)[] = [];

  /** @param most how many calls run at once now. */
  constructor(private readonly most: () => number) {}

  get busy(): number {
    return this.taken;
  }

  get waiting(): number {
    return this.line.length;
  }

  /** Runs `work` when there is a place for the call; `done` gives it back. */
  take(call: { readonly cancelled: boolean }, work: (done: () => void) => void): void {
    if (this.taken >= this.most()) return void this.line.push(() => this.take(call, work));
    if (call.cancelled) return void setImmediate(() => this.next());
    this.taken += 1;
    work(() => {
      this.taken -= 1;
      this.next();
    });
  }

  private next(): void {
    this.line.shift()?.();
  }
}
