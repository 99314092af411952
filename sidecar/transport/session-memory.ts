import type { Connection } from '../http2/connection.js';
import { ErrorCode } from '../http2/constants.js';
import { type ByteCount, Ending, LONG_LIST_BYTES, STREAM_BYTES, type Stream } from '../http2/stream.js';
import type { Containment } from './containment.js';
import { type EndableCall, FIRST_WINDOW, type MemoryHolder, WIDE_WINDOW } from './memory-budget.js';

/** So many requests of a connection that did not fit into their first window make it a wide one. */
const LARGE_REQUESTS = 4;
/** A connection with more open streams than this does not keep wide first windows: they are not paid for in advance. */
const MOST_WIDE_STREAMS = 16;

class StalledStream implements EndableCall {
  constructor(
    private readonly memory: SessionMemory,
    private readonly stream: Stream,
    readonly sinceMs: number,
    readonly bytes: number,
  ) {}

  end(): void {
    this.memory.endStream(this.stream);
  }
}

/** What one connection holds of the memory budget, and what it gives up when the budget is used up. */
export class SessionMemory implements MemoryHolder {
  /** Bytes given to the socket that the kernel has not taken. */
  private unflushedBytes = 0;
  /** Requests that did not fit into their first window; Infinity: they are not counted any more. */
  private largeRequests = 0;
  private hasWideFirstWindow = false;

  /** `waiting`: the count of the memory budget that unflushed bytes are part of. */
  constructor(
    private readonly connection: Connection,
    private readonly waiting: ByteCount,
    private readonly destroy: (reason: string) => void,
    private readonly containment: Containment | null = null,
  ) {}

  setUnflushed(bytes: number): void {
    this.waiting.bytes += bytes - this.unflushedBytes;
    this.unflushedBytes = bytes;
  }

  /** A request that did not fit into its first window has ended. */
  recordLargeRequest(): void {
    if (++this.largeRequests === LARGE_REQUESTS) this.hasWideFirstWindow = true;
  }

  /**
   * What a new stream of this connection may receive at first, bytes: `usual`, or a wide window where large requests come
   * one or a few at a time, so that they need not wait for a WINDOW_UPDATE. With many streams, or where memory is short, it
   * is the usual one again, for good: each change is a SETTINGS frame, of which peers take a few.
   */
  firstWindow(usual: number): number {
    if (!this.hasWideFirstWindow) return usual;
    if (usual === FIRST_WINDOW && this.connection.openStreams <= MOST_WIDE_STREAMS) return WIDE_WINDOW;
    this.hasWideFirstWindow = false;
    this.largeRequests = Number.POSITIVE_INFINITY;
    return usual;
  }

  heldBytes(): number {
    const { unflushedBytes, connection } = this;
    let bytes = unflushedBytes + connection.state.blockBytes;
    if (connection.state.role === 'server')
      for (const stream of connection.state.table.all()) bytes += heldFor(stream);
    return bytes;
  }

  grantedBytes(): number {
    let bytes = 0;
    for (const stream of this.connection.state.table.all())
      if (!stream.remoteEnded) bytes += Math.max(0, stream.recvWindow);
    return bytes;
  }

  shed(bytes: number): number {
    const { connection, unflushedBytes } = this;
    if (connection.state.role === 'client') return this.shedBlock();
    const streams = connection.state.table.all().map((stream) => ({ stream, held: heldFor(stream) }));
    // Calls are not to be lost for what the socket does not take.
    const open = streams.reduce((sum, { held }) => sum + held, 0);
    if (unflushedBytes > open) {
      this.destroy('it does not read, and memory is short');
      return unflushedBytes + open;
    }
    streams.sort((a, b) => Number(isStuck(b.stream)) - Number(isStuck(a.stream)) || b.held - a.held);
    let freed = 0;
    for (const { stream, held } of streams) {
      if (freed >= bytes) break;
      freed += held;
      this.endStream(stream);
    }
    return freed;
  }

  /** An endpoint's header block that does not end. The calls on its connection wait for that end as well. */
  private shedBlock(): number {
    const { blockBytes } = this.connection.state;
    if (blockBytes < this.unflushedBytes || blockBytes < LONG_LIST_BYTES) return 0;
    this.destroy('it is sending a long header block, and memory is short');
    return blockBytes;
  }

  findStalled(calls: EndableCall[]): void {
    const { role, table } = this.connection.state;
    if (role === 'client') return;
    for (const stream of table.all()) {
      const sinceMs = stalledSinceMs(stream);
      if (sinceMs < Number.POSITIVE_INFINITY)
        calls.push(new StalledStream(this, stream, sinceMs, heldFor(stream)));
    }
  }

  /** Since when none of its peer's calls has moved; −Infinity: there is none. Infinity: one does, or waits for its endpoint. */
  get stalledSinceMs(): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const stream of this.connection.state.table.all()) {
      latest = Math.max(latest, stalledSinceMs(stream));
      if (latest === Number.POSITIVE_INFINITY) break;
    }
    return latest;
  }

  /** Because of the memory that it holds. */
  endStream(stream: Stream): void {
    if (stream.closed) return;
    const { owner } = stream;
    try {
      if (owner.shed !== undefined) return owner.shed(stream);
      this.connection.reset(stream, ErrorCode.enhanceYourCalm);
      owner.onEnding(stream, Ending.lost, ErrorCode.enhanceYourCalm);
    } catch (error) {
      if (this.containment === null) throw error;
      this.containment.contain(owner, error);
    }
  }

  setFirstWindow(bytes: number): void {
    this.connection.setInitialWindow(this.firstWindow(bytes));
  }
}

function heldFor(stream: Stream): number {
  return STREAM_BYTES + stream.listBytes + (stream.owner.bufferedBytes?.(stream) ?? stream.pendingBytes);
}

function stalledSinceMs(stream: Stream): number {
  return stream.owner.stalledSinceMs?.(stream) ?? Number.POSITIVE_INFINITY;
}

/** Its response waits for the peer's window, or its request for the rest of itself. */
function isStuck(stream: Stream): boolean {
  return (stream.pendingBytes > 0 && stream.sendWindow <= 0) || !stream.remoteEnded;
}
