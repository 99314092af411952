/** Something that happens at a time; a heap of them is the clock. */
export interface Happening {
  readonly atMs: number;
  readonly happen: () => void;
}

/** Simulated time that jumps from one happening to the next. */
export class Agenda {
  private readonly heap: Happening[] = [];

  add(entry: Happening): void {
    const { heap } = this;
    let at = heap.push(entry) - 1;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  take(): Happening {
    const { heap } = this;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
