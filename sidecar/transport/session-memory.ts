import type { Connection } from '../http2/connection.js';
import { ErrorCode } from '../http2/constants.js';
import { type OctetCount, STREAM_BYTES, type Stream } from '../http2/stream.js';
import type { MemoryHolder } from './memory-budget.js';

/** What one connection holds of the memory budget, and what it gives up when the budget is used up. */
export class SessionMemory implements MemoryHolder {
  /** Octets given to the socket that the kernel has not taken. */
  private unflushedBytes = 0;

  /** `waiting`: the count of the memory budget that unflushed octets are part of. */
  constructor(
    private readonly connection: Connection,
    private readonly waiting: OctetCount,
    private readonly destroy: (reason: string) => void,
  ) {}

  setUnflushed(bytes: number): void {
    this.waiting.octets += bytes - this.unflushedBytes;
    this.unflushedBytes = bytes;
  }

  heldBytes(): number {
    const { unflushedBytes, connection } = this;
    let bytes = unflushedBytes;
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
    if (connection.state.role === 'client') return 0;
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
      if (stream.owner.shed === undefined) connection.reset(stream, ErrorCode.enhanceYourCalm);
      else stream.owner.shed(stream);
    }
    return freed;
  }

  setFirstWindow(bytes: number): void {
    this.connection.setInitialWindow(bytes);
  }
}

function heldFor(stream: Stream): number {
  return STREAM_BYTES + (stream.owner.bufferedBytes?.(stream) ?? stream.pendingBytes);
}

/** Its response waits for the peer's window, or its request for the rest of itself. */
function isStuck(stream: Stream): boolean {
  return (stream.pendingBytes > 0 && stream.sendWindow <= 0) || !stream.remoteEnded;
}
