/** An entry of the queue. Only the queue changes its fields. */
export class QueueNode {
  /** Priority class, 0 the most important. */
  queueClass = 0;
  /** Caller; only read where the queue is fair. */
  queueCaller = '';
  /** @internal */
  queueLane: Lane<QueueNode> | null = null;
  /** @internal */
  queueNext: QueueNode | null = null;
  /** @internal */
  queuePrev: QueueNode | null = null;
}

/** Entries in order of arrival: of a class, or of one caller in a class. */
class Lane<E extends QueueNode> {
  first: E | null = null;
  last: E | null = null;
  length = 0;
  /** The lanes of a class that are not empty form a ring. */
  next: Lane<E> = this;
  prev: Lane<E> = this;

  constructor(readonly caller: string) {}

  append(entry: E): void {
    entry.queueLane = this as unknown as Lane<QueueNode>;
    entry.queuePrev = this.last;
    entry.queueNext = null;
    if (this.last === null) this.first = entry;
    else this.last.queueNext = entry;
    this.last = entry;
    this.length += 1;
  }

  unlink(entry: E): void {
    const prev = entry.queuePrev as E | null;
    const next = entry.queueNext as E | null;
    if (prev === null) this.first = next;
    else prev.queueNext = next;
    if (next === null) this.last = prev;
    else next.queuePrev = prev;
    entry.queuePrev = null;
    entry.queueNext = null;
    entry.queueLane = null;
    this.length -= 1;
  }
}

/** The entries of one class, in one lane or one for each caller. */
class ClassQueue<E extends QueueNode> {
  length = 0;
  /** The lane whose turn it is; null: the class is empty. */
  head: Lane<E> | null = null;
  lanes = 0;
  private readonly byCaller = new Map<string, Lane<E>>();

  waitingOf(caller: string): number {
    return this.byCaller.get(caller)?.length ?? 0;
  }

  append(entry: E, caller: string): void {
    let lane = this.byCaller.get(caller);
    if (lane === undefined) {
      lane = new Lane(caller);
      this.byCaller.set(caller, lane);
    }
    if (lane.length === 0) this.join(lane);
    lane.append(entry);
    this.length += 1;
  }

  remove(entry: E): void {
    const lane = entry.queueLane as unknown as Lane<E>;
    lane.unlink(entry);
    this.length -= 1;
    if (lane.length === 0) this.leave(lane);
  }

  /** The longest lane. */
  longest(): Lane<E> | null {
    const { head } = this;
    if (head === null) return null;
    let longest = head;
    for (let lane = head.next; lane !== head; lane = lane.next)
      if (lane.length > longest.length) longest = lane;
    return longest;
  }

  /** A lane that was empty joins the ring behind all others. */
  private join(lane: Lane<E>): void {
    this.lanes += 1;
    const { head } = this;
    if (head === null) {
      // A lane outside a ring is one of its own.
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

/**
 * Order of waiting calls: by class from the most to the least important, and within a class first come, first served or, if fair,
 * round robin over callers. Finds the next entry, the one to evict and how many precede an arrival; whether an arrival is
 * admitted is decided in queue.ts.
 */
export class FairQueue<E extends QueueNode> {
  private tiers: ClassQueue<E>[] = [new ClassQueue()];
  length = 0;

  /** @param isFair a change takes effect for arrivals; waiting entries keep their place. */
  constructor(public isFair = false) {}

  lengthOf(queueClass: number): number {
    return this.tiers[queueClass]?.length ?? 0;
  }

  append(entry: E): void {
    this.tier(entry.queueClass).append(entry, this.isFair ? entry.queueCaller : '');
    this.length += 1;
  }

  remove(entry: E): void {
    this.tier(entry.queueClass).remove(entry);
    this.length -= 1;
  }

  /** The next entry; stays in the queue. */
  peek(): E | null {
    for (const { head } of this.tiers) if (head !== null) return head.first;
    return null;
  }

  /** Takes the next entry; then the class is at another caller's turn. */
  take(): E | null {
    for (const tier of this.tiers) {
      const entry = tier.head?.first ?? null;
      if (entry === null) continue;
      const before = tier.head;
      this.remove(entry);
      if (before !== null && tier.head === before) tier.head = before.next;
      return entry;
    }
    return null;
  }

  /** Entries that would go before an arrival. */
  aheadOf(queueClass: number, caller: string): number {
    let ahead = 0;
    for (let i = 0; i < queueClass && i < this.tiers.length; i++) ahead += this.tiers[i]!.length;
    const tier = this.tiers[queueClass];
    if (tier === undefined) return ahead;
    if (!this.isFair) return ahead + tier.length;
    const own = tier.waitingOf(caller);
    const others = tier.lanes - (own > 0 ? 1 : 0);
    // Before its turn each other caller has one for each entry of its own, if it has as many.
    return ahead + Math.min(tier.length, own + others * (own + 1));
  }

  /**
   * The entry to evict for an arrival at a full queue: the newest of the least important class below its own; or, if fair, the
   * newest of the caller with the most entries in its class, unless the arrival's caller would then have as many. Null: none.
   */
  evictionCandidate(queueClass: number, caller: string): E | null {
    for (let i = this.tiers.length - 1; i > queueClass; i--) {
      const lane = this.tiers[i]!.longest();
      if (lane !== null) return lane.last;
    }
    if (!this.isFair) return null;
    const tier = this.tiers[queueClass];
    const lane = tier?.longest() ?? null;
    if (tier === undefined || lane === null || lane.length <= tier.waitingOf(caller) + 1) return null;
    return lane.last;
  }

  private tier(queueClass: number): ClassQueue<E> {
    while (this.tiers.length <= queueClass) this.tiers.push(new ClassQueue());
    return this.tiers[queueClass]!;
  }
}
