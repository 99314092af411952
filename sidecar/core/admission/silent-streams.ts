/**
 * Streams at the model on which nothing moves. Each holds one of the streams that the model's connections allow
 * (SETTINGS_MAX_CONCURRENT_STREAMS), and no harm is done while others find one. When calls wait for a stream, callers that
 * hold more than their share lose their oldest silent ones.
 */

/** Whose a stream is: its caller's connection. */
export interface HeldStream {
  readonly holder: object;
}

export class SilentStreams<E extends HeldStream> {
  /** Of each holder, those that fell silent first at the front. */
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
   * The stream that has to go, out of `places` that are all taken: the oldest silent one of the holder that has most,
   * if that is more than its share; those that wait have a share as well. Null: none has more.
   */
  excess(places: number): E | null {
    let most: Set<E> | null = null;
    for (const held of this.byHolder.values()) if (most === null || held.size > most.size) most = held;
    if (most === null || most.size <= Math.max(1, places / (this.byHolder.size + 1))) return null;
    const [oldest] = most as Iterable<E> as [E];
    return oldest;
  }
}
