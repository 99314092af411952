/** What the choice among the instances of a model reads. */
export interface InstanceLoad {
  readonly isReady: boolean;
  /** A call could be sent at once. */
  readonly isConnected: boolean;
  readonly inFlight: number;
}

/**
 * The instance that gets the next call: the ready one with the fewest calls in flight (least request, without chance: all
 * loads are known here). One without a connection comes after all that have one: its process has just ended, or has just
 * started. Equal instances take turns.
 *
 * @param start where the search begins: equal instances take turns when it is the place after the last choice.
 * @returns null while none is ready.
 */
export function pickInstance<I extends InstanceLoad>(instances: readonly I[], start: number): I | null {
  const count = instances.length;
  let best: I | null = null;
  for (let i = 0; i < count; i++) {
    const each = instances[(start + i) % count]!;
    if (each.isReady && (best === null || isBetter(each, best))) best = each;
  }
  return best;
}

function isBetter(one: InstanceLoad, other: InstanceLoad): boolean {
  if (one.isConnected !== other.isConnected) return one.isConnected;
  return one.inFlight < other.inFlight;
}
