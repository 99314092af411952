/** Sequences that are remembered, at most: Triton's default for `max_candidate_sequences` is 1024. */
const MAX_SEQUENCES = 10_000;
/** A sequence without a call for this long is forgotten, ms: no server keeps the state of one for so long. */
const IDLE_MS = 600_000;

interface Bound<I> {
  readonly instance: I;
  readonly usedMs: number;
}

/**
 * Which instance has the state of which sequence (`sequence_id`, Triton's stateful models): the first call of a sequence
 * binds it to its instance. Bounded by number and by idle time; the sequence that was used longest ago is forgotten first.
 */
export class SequenceTable<I> {
  /** In the order of their last use. */
  private readonly bound = new Map<string, Bound<I>>();

  get size(): number {
    return this.bound.size;
  }

  /** The instance of a sequence; undefined when it is not bound. */
  find(id: string, nowMs: number): I | undefined {
    const found = this.bound.get(id);
    if (found === undefined) return undefined;
    this.bound.delete(id);
    if (nowMs - found.usedMs > IDLE_MS) return undefined;
    this.bound.set(id, { instance: found.instance, usedMs: nowMs });
    return found.instance;
  }

  bind(id: string, instance: I, nowMs: number): void {
    this.bound.delete(id);
    this.bound.set(id, { instance, usedMs: nowMs });
    for (const [oldest, { usedMs }] of this.bound) {
      if (this.bound.size <= MAX_SEQUENCES && nowMs - usedMs <= IDLE_MS) return;
      this.bound.delete(oldest);
    }
  }

  /** The sequence has ended. */
  end(id: string): void {
    this.bound.delete(id);
  }

  /** The instance has lost the state of its sequences. */
  forget(instance: I): void {
    for (const [id, each] of this.bound) if (each.instance === instance) this.bound.delete(id);
  }
}
