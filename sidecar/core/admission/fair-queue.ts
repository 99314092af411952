/** An entry of the queue. Only the queue changes its fields. */
export class QueueNode {
  /** Priority class, 0 the most important. */
  queueClass = 0;
  /** Caller; only read where the queue is fair. */
  queueCaller = '';
  /** Tokens that it may use, where the queue counts them; 0: it does not, or these are none. */
  queueCost = 0;
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
  /** Sum of the costs of its entries. */
  cost = 0;
  /** Where turns go by cost: when its next turn is, in the virtual time of its class. */
  turn = 0;
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
    this.cost += entry.queueCost;
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
    this.cost -= entry.queueCost;
  }
}

/** Callers without waiting entries whose last turns are remembered, at most. */
const MAX_PAST_TURNS = 1_024;

/** The entries of one class, in one lane or one for each caller. */
class ClassQueue<E extends QueueNode> {
  length = 0;
  /** The lane whose turn it is; null: the class is empty. */
  head: Lane<E> | null = null;
  lanes = 0;
  private readonly byCaller = new Map<string, Lane<E>>();
  /** Virtual time: the turn that was taken last. */
  private now = 0;
  /** Next turns of callers that have no entries left and have had more than their share. Empty where turns do not go by cost. */
  private readonly pastTurns = new Map<string, number>();

  waitingOf(caller: string): number {
    return this.byCaller.get(caller)?.length ?? 0;
  }

  costOf(caller: string): number {
    return this.byCaller.get(caller)?.cost ?? 0;
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

  /** The lane whose entries cost the most. */
  heaviest(): Lane<E> | null {
    const { head } = this;
    if (head === null) return null;
    let heaviest = head;
    for (let lane = head.next; lane !== head; lane = lane.next)
      if (lane.cost > heaviest.cost) heaviest = lane;
    return heaviest;
  }

  // ---- turns by cost: start-time fair queueing, in which a lane's next turn is the later the more its last one cost ----

  /** The same as `append`. A caller that comes back has its next turn when it would have had it. */
  appendByCost(entry: E, caller: string): void {
    const isNew = !this.byCaller.has(caller);
    this.append(entry, caller);
    if (!isNew) return;
    const lane = entry.queueLane as unknown as Lane<E>;
    lane.turn = Math.max(this.now, this.pastTurns.get(caller) ?? 0);
    this.pastTurns.delete(caller);
    if (lane.turn < this.head!.turn) this.head = lane;
  }

  /** The first entry of the lane whose turn it is leaves, and is run. */
  takeByCost(entry: E): void {
    const lane = entry.queueLane as unknown as Lane<E>;
    this.now = lane.turn;
    lane.turn += Math.max(1, entry.queueCost);
    this.removeByCost(entry);
  }

  /** The same as `remove`. */
  removeByCost(entry: E): void {
    const lane = entry.queueLane as unknown as Lane<E>;
    const wasNext = this.head === lane;
    this.remove(entry);
    if (this.head === null) return this.forgetTurns();
    if (lane.length === 0 && lane.turn > this.now) this.rememberTurn(lane);
    if (wasNext) this.head = earliest(lane.length === 0 ? this.head : lane.next);
  }

  /** Entries that would go before an arrival of this caller, about: a lane is taken for one of entries that cost the same. */
  aheadByCost(caller: string): number {
    const own = this.byCaller.get(caller);
    const turn =
      own === undefined ? Math.max(this.now, this.pastTurns.get(caller) ?? 0) : own.turn + own.cost;
    let ahead = own === undefined ? 0 : own.length;
    const { head } = this;
    let lane = head;
    while (lane !== null) {
      if (lane !== own && lane.turn <= turn) {
        const each = Math.max(1, lane.cost / lane.length);
        ahead += Math.min(lane.length, 1 + Math.floor((turn - lane.turn) / each));
      }
      lane = lane.next === head ? null : lane.next;
    }
    return ahead;
  }

  /** Turns begin anew: nobody waits, or they go by something else from now on. */
  forgetTurns(): void {
    this.now = 0;
    this.pastTurns.clear();
    for (const lane of this.byCaller.values()) lane.turn = 0;
  }

  private rememberTurn({ caller, turn }: Lane<E>): void {
    const { pastTurns } = this;
    pastTurns.set(caller, turn);
    if (pastTurns.size <= MAX_PAST_TURNS) return;
    for (const [each, past] of pastTurns) if (past <= this.now) pastTurns.delete(each);
    if (pastTurns.size > MAX_PAST_TURNS) pastTurns.delete(pastTurns.keys().next().value!);
  }

  // ----

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

/** Of a ring, the lane whose turn is the earliest; of several the first from `from` on. */
function earliest<E extends QueueNode>(from: Lane<E>): Lane<E> {
  let first = from;
  for (let lane = from.next; lane !== from; lane = lane.next) if (lane.turn < first.turn) first = lane;
  return first;
}

/**
 * Order of waiting calls: by class from the most to the least important, and within a class first come, first served or, if fair,
 * round robin over callers: call by call, or by what calls cost, so that each caller gets as many tokens as another. Finds the next entry, the one to evict and how many precede an arrival; whether an arrival is
 * admitted is decided in queue.ts.
 */
export class FairQueue<E extends QueueNode> {
  private tiers: ClassQueue<E>[] = [new ClassQueue()];
  length = 0;
  /** Turns of callers go by cost. */
  private isByCost = false;

  constructor(private isFair = false) {}

  /** A change takes effect for arrivals; waiting entries keep their place. */
  configure(isFair: boolean, countsCost: boolean): void {
    this.isFair = isFair;
    if (this.isByCost === countsCost) return;
    this.isByCost = countsCost;
    for (const tier of this.tiers) tier.forgetTurns();
  }

  lengthOf(queueClass: number): number {
    return this.tiers[queueClass]?.length ?? 0;
  }

  append(entry: E): void {
    const tier = this.tier(entry.queueClass);
    const caller = this.isFair ? entry.queueCaller : '';
    if (this.isByCost) tier.appendByCost(entry, caller);
    else tier.append(entry, caller);
    this.length += 1;
  }

  remove(entry: E): void {
    const tier = this.tier(entry.queueClass);
    if (this.isByCost) tier.removeByCost(entry);
    else tier.remove(entry);
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
      if (this.isByCost) {
        tier.takeByCost(entry);
        this.length -= 1;
        return entry;
      }
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
    if (this.isByCost) return ahead + tier.aheadByCost(caller);
    const own = tier.waitingOf(caller);
    const others = tier.lanes - (own > 0 ? 1 : 0);
    // Before its turn each other caller has one for each entry of its own, if it has as many.
    return ahead + Math.min(tier.length, own + others * (own + 1));
  }

  /**
   * The entry to evict for an arrival at a full queue: the newest of the least important class below its own; or, if fair, the
   * newest of the caller with the most entries in its class, unless the arrival's caller would then have as many. Null: none.
   *
   * Where turns go by cost, it is the caller whose entries cost the most, unless the arrival's would then cost as much: one of large prompts
   * does not push out one of small ones. Only a caller that has none waiting gets a place that another has more of, or small ones could keep
   * it out for ever.
   * @param isFull the queue has no place left; else its entries cost too much, or are too large.
   */
  evictionCandidate(queueClass: number, caller: string, cost = 0, isFull = true): E | null {
    for (let i = this.tiers.length - 1; i > queueClass; i--) {
      const lane = this.isByCost ? this.tiers[i]!.heaviest() : this.tiers[i]!.longest();
      if (lane !== null) return lane.last;
    }
    if (!this.isFair) return null;
    const tier = this.tiers[queueClass];
    if (this.isByCost && tier !== undefined) {
      const heaviest = tier.heaviest();
      if (heaviest !== null && heaviest.cost > tier.costOf(caller) + cost) return heaviest.last;
      if (!isFull || tier.waitingOf(caller) > 0) return null;
    }
    const lane = tier?.longest() ?? null;
    if (tier === undefined || lane === null || lane.length <= tier.waitingOf(caller) + 1) return null;
    return lane.last;
  }

  private tier(queueClass: number): ClassQueue<E> {
    while (this.tiers.length <= queueClass) this.tiers.push(new ClassQueue());
    return this.tiers[queueClass]!;
  }
}
