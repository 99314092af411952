/**
 * The order of a line: classes from the most to the least important, and within a class either first come, first served
 * or, for fairness, callers in turn. Keeps the order and finds who goes next, who would have to give way and who is
 * ahead of an arrival; whether anybody may come in is the queue's decision (queue.ts).
 */

/** One place in the line. Fields are the line's to change. */
export class QueueNode {
  /** Class, 0 the most important. */
  lineClass = 0;
  /** Whose it is; only read where callers take turns. */
  lineCaller = '';
  /** @internal */
  lineLane: Lane<QueueNode> | null = null;
  /** @internal */
  lineNext: QueueNode | null = null;
  /** @internal */
  linePrev: QueueNode | null = null;
}

/** Entries in order of arrival: of a class, or of one caller in it. */
class Lane<E extends QueueNode> {
  first: E | null = null;
  last: E | null = null;
  length = 0;
  /** Lanes of a class that hold somebody form a ring; the next turn is its head's. */
  next: Lane<E> = this;
  prev: Lane<E> = this;

  constructor(readonly caller: string) {}

  append(entry: E): void {
    entry.lineLane = this as unknown as Lane<QueueNode>;
    entry.linePrev = this.last;
    entry.lineNext = null;
    if (this.last === null) this.first = entry;
    else this.last.lineNext = entry;
    this.last = entry;
    this.length += 1;
  }

  unlink(entry: E): void {
    const prev = entry.linePrev as E | null;
    const next = entry.lineNext as E | null;
    if (prev === null) this.first = next;
    else prev.lineNext = next;
    if (next === null) this.last = prev;
    else next.linePrev = prev;
    entry.linePrev = null;
    entry.lineNext = null;
    entry.lineLane = null;
    this.length -= 1;
  }
}

/** Everyone of one class. */
class Tier<E extends QueueNode> {
  length = 0;
  /** Whose turn it is; null while nobody waits. */
  head: Lane<E> | null = null;
  lanes = 0;
  private readonly byCaller = new Map<string, Lane<E>>();

  lane(caller: string): Lane<E> {
    let lane = this.byCaller.get(caller);
    if (lane === undefined) {
      lane = new Lane(caller);
      this.byCaller.set(caller, lane);
    }
    return lane;
  }

  waitingOf(caller: string): number {
    return this.byCaller.get(caller)?.length ?? 0;
  }

  append(entry: E, caller: string): void {
    const lane = this.lane(caller);
    if (lane.length === 0) this.join(lane);
    lane.append(entry);
    this.length += 1;
  }

  remove(entry: E): void {
    const lane = entry.lineLane as unknown as Lane<E>;
    lane.unlink(entry);
    this.length -= 1;
    if (lane.length === 0) this.leave(lane);
  }

  /** After a turn the next caller's comes. */
  turn(): void {
    if (this.head !== null) this.head = this.head.next;
  }

  /** The lane with the most waiting. */
  longest(): Lane<E> | null {
    const { head } = this;
    if (head === null) return null;
    let longest = head;
    for (let lane = head.next; lane !== head; lane = lane.next)
      if (lane.length > longest.length) longest = lane;
    return longest;
  }

  /** A caller that has nobody waiting joins behind all others. */
  private join(lane: Lane<E>): void {
    this.lanes += 1;
    const { head } = this;
    if (head === null) {
      lane.next = lane;
      lane.prev = lane;
      this.head = lane;
      return;
    }
    lane.prev = head.prev;
    lane.next = head;
    head.prev.next = lane;
    head.prev = lane;
  }

  private leave(lane: Lane<E>): void {
    this.lanes -= 1;
    this.byCaller.delete(lane.caller);
    if (lane.next === lane) {
      this.head = null;
      return;
    }
    if (this.head === lane) this.head = lane.next;
    lane.prev.next = lane.next;
    lane.next.prev = lane.prev;
    lane.next = lane;
    lane.prev = lane;
  }
}

export class FairQueue<E extends QueueNode> {
  private tiers: Tier<E>[] = [new Tier()];
  length = 0;

  constructor(private isFair = false) {}

  /** From now on; who waits keeps the place. */
  set fair(isFair: boolean) {
    this.isFair = isFair;
  }

  lengthOf(lineClass: number): number {
    return this.tiers[lineClass]?.length ?? 0;
  }

  append(entry: E): void {
    this.tier(entry.lineClass).append(entry, this.laneOf(entry.lineCaller));
    this.length += 1;
  }

  remove(entry: E): void {
    this.tier(entry.lineClass).remove(entry);
    this.length -= 1;
  }

  /** Whose turn it is; stays in the line. */
  peek(): E | null {
    for (const { head } of this.tiers) if (head !== null) return head.first;
    return null;
  }

  /** Takes out whose turn it is; the next turn of the class is another caller's. */
  take(): E | null {
    for (const tier of this.tiers) {
      const entry = tier.head?.first ?? null;
      if (entry === null) continue;
      const before = tier.head;
      this.remove(entry);
      if (tier.head === before) tier.turn();
      return entry;
    }
    return null;
  }

  /** How many would go before an arrival. */
  aheadOf(lineClass: number, caller: string): number {
    let ahead = 0;
    for (let i = 0; i < lineClass && i < this.tiers.length; i++) ahead += this.tiers[i]!.length;
    const tier = this.tiers[lineClass];
    if (tier === undefined) return ahead;
    if (!this.isFair) return ahead + tier.length;
    const own = tier.waitingOf(caller);
    const others = tier.lanes - (own > 0 ? 1 : 0);
    // Before its own turn each other caller has one for each of ours, if it has as many.
    return ahead + Math.min(tier.length, own + others * (own + 1));
  }

  /**
   * Who would have to give way to an arrival in a full line: the newest of the least important class below it, or,
   * where callers take turns, the newest of the caller that has the most waiting in its own, unless the arrival's
   * caller would then have as many. Null: nobody.
   */
  victimFor(lineClass: number, caller: string): E | null {
    for (let i = this.tiers.length - 1; i > lineClass; i--) {
      const lane = this.tiers[i]!.longest();
      if (lane !== null) return lane.last;
    }
    if (!this.isFair) return null;
    const tier = this.tiers[lineClass];
    const lane = tier?.longest() ?? null;
    if (tier === undefined || lane === null || lane.length <= tier.waitingOf(caller) + 1) return null;
    return lane.last;
  }

  private laneOf(caller: string): string {
    return this.isFair ? caller : '';
  }

  private tier(lineClass: number): Tier<E> {
    while (this.tiers.length <= lineClass) this.tiers.push(new Tier());
    return this.tiers[lineClass]!;
  }
}
