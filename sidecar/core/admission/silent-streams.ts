/** A stream with its owner: the connection of its caller. */
export interface HeldStream {
  readonly holder: object;
}

/**
 * Idle streams at the model. Each occupies one of the streams that the model's connections allow
 * (SETTINGS_MAX_CONCURRENT_STREAMS), which is harmless while others find one. When calls wait for a stream, a caller with more
 * than its share loses its oldest idle one.
 */
export class SilentStreams<E extends HeldStream> {
  /** By holder, in the order in which they became idle. */
  private readonly byHolder = new Map<object, Set<E>>();

  add(stream: E): void {
    const held = this.byHolder.get(stream.holder);
    if (held === undefined) this.byHolder.set(stream.holder, new Set([stream]));
    else held.add(stream);
  }

  delete(stream: E): void {
    const held = this.byHolder.get(stream.holder);
    if (held === undefined || !held.delete(stream)) return;
    if (held.size === 0) this.byHolder.delete(stream.holder);
  }

  /**
   * The stream to reset when all `places` are in use: the oldest idle one of the holder with most of them, if that is more than
   * its share; the waiting calls count as one holder. Null: none has more than its share.
   */
  overShare(places: number): E | null {
    let most: Set<E> | null = null;
    for (const held of this.byHolder.values()) if (most === null || held.size > most.size) most = held;
    if (most === null || most.size <= Math.max(1, places / (this.byHolder.size + 1))) return null;
    const [oldest] = most as Iterable<E> as [E];
    return oldest;
  }
}
