/** A run counts as this much at least, so that a clock too coarse for it still ends the turn. */
const LEAST_RUN_MS = 0.01;

/** One model's queue. */
export class Lane<Key, Item> {
  readonly key: Key;
  readonly items: Item[] = [];
  /** Time taken, on the scale that all lanes of a `Turns` share. */
  spentMs = 0;

  constructor(key: Key) {
    this.key = key;
  }
}

/**
 * Whose turn is next among the models of one process: start-time fair queueing (Goyal, Vin, Cheng 1996) by measured run time.
 * Each model has a queue of its own, in order of arrival, and an account of the time its runs took; the model with the
 * smallest account goes next. A model whose runs are slow thus waits, after each of them, until the others have had as much
 * time or want no more; a run itself cannot be interrupted. A model that was idle does not save up time: its account starts
 * at that of the last turn.
 */
export class Turns<Key, Item> {
  private readonly lanes = new Map<Key, Lane<Key, Item>>();
  /** The account of the lane that had the last turn, when it got it. */
  private startedMs = 0;

  /** @param mayRun false for a lane whose turn does not come for now, though items wait in it. */
  constructor(private readonly mayRun: (key: Key) => boolean = () => true) {}

  /** At the end of the queue of `key`, but before the items than which it is more urgent. */
  add(key: Key, item: Item, isMoreUrgent?: (item: Item, other: Item) => boolean): void {
    let lane = this.lanes.get(key);
    if (lane === undefined) {
      lane = new Lane(key);
      this.lanes.set(key, lane);
    }
    if (lane.items.length === 0) lane.spentMs = Math.max(lane.spentMs, this.startedMs);
    let at = lane.items.length;
    while (isMoreUrgent !== undefined && at > 0 && isMoreUrgent(item, lane.items[at - 1]!)) at--;
    if (at === lane.items.length) lane.items.push(item);
    else lane.items.splice(at, 0, item);
  }

  /** False when the item does not wait. */
  remove(key: Key, item: Item): boolean {
    const items = this.lanes.get(key)?.items ?? [];
    const at = items.indexOf(item);
    if (at < 0) return false;
    items.splice(at, 1);
    return true;
  }

  /** Nothing is kept of the key until an item of it comes again. */
  forget(key: Key): void {
    this.lanes.delete(key);
  }

  /** Adds a run to the account of `key`, which has a lane unless it was forgotten. */
  charge(key: Key, ranMs: number): void {
    const lane = this.lanes.get(key);
    if (lane !== undefined) lane.spentMs += Math.max(LEAST_RUN_MS, ranMs);
  }

  /** The lane whose turn it is; undefined when nothing waits. */
  next(): Lane<Key, Item> | undefined {
    let first: Lane<Key, Item> | undefined;
    for (const lane of this.lanes.values()) {
      if (!this.isReady(lane)) continue;
      if (first === undefined || lane.spentMs < first.spentMs) first = lane;
    }
    if (first !== undefined) this.startedMs = first.spentMs;
    return first;
  }

  /** Whether a lane has items and may have a turn. */
  get waiting(): boolean {
    for (const lane of this.lanes.values()) if (this.isReady(lane)) return true;
    return false;
  }

  /** The same of the lanes but that of `key`. */
  othersWait(key: Key): boolean {
    for (const lane of this.lanes.values()) if (lane.key !== key && this.isReady(lane)) return true;
    return false;
  }

  private isReady({ key, items }: Lane<Key, Item>): boolean {
    return items.length > 0 && this.mayRun(key);
  }
}
