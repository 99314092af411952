import type { Stream } from './stream.js';

/**
 * Streams of one connection by id. Ids of one side rise by two, so a ring indexed by id nearly always suffices; an old
 * stream whose slot a newer one takes moves to a small map, so that memory is in proportion to the open streams.
 */
export class StreamTable {
  private slots: (Stream | null)[] = new Array<Stream | null>(64).fill(null);
  private mask = 63;
  private readonly displaced = new Map<number, Stream>();
  size = 0;

  get(id: number): Stream | null {
    const found = this.slots[(id >>> 1) & this.mask]!;
    if (found !== null && found.id === id) return found;
    return this.displaced.size === 0 ? null : (this.displaced.get(id) ?? null);
  }

  add(stream: Stream): void {
    const slot = (stream.id >>> 1) & this.mask;
    const occupant = this.slots[slot]!;
    if (occupant !== null) {
      if (this.displaced.size > this.mask >>> 2 && this.mask < 4095) {
        this.grow();
        return this.add(stream);
      }
      this.displaced.set(occupant.id, occupant);
    }
    this.slots[slot] = stream;
    this.size++;
  }

  remove(stream: Stream): void {
    const slot = (stream.id >>> 1) & this.mask;
    if (this.slots[slot] === stream) this.slots[slot] = null;
    else if (!this.displaced.delete(stream.id)) return;
    this.size--;
  }

  /** All streams; a copy, so that callers may close streams while they iterate. */
  all(): Stream[] {
    const streams: Stream[] = [];
    for (const stream of this.slots) if (stream !== null) streams.push(stream);
    for (const stream of this.displaced.values()) streams.push(stream);
    return streams;
  }

  private grow(): void {
    const streams = this.all();
    this.mask = this.mask * 2 + 1;
    this.slots = new Array<Stream | null>(this.mask + 1).fill(null);
    this.displaced.clear();
    this.size = 0;
    for (const stream of streams) this.add(stream);
  }
}
