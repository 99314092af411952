/** A connection without a call for so long is closed, as Envoy does by default (`idle_timeout`). */
export const IDLE_LIMIT_MS = 3_600_000;
/** With calls in flight, a peer that has been silent for so long is sent a PING, as grpc-go does by default (`keepalive.ServerParameters`). */
export const KEEPALIVE_MS = 7_200_000;
/** How long its answer may take. */
export const PONG_MS = 20_000;

/** What a connection looks like now. */
export interface ConnectionLook {
  readonly nowMs: number;
  /** When the peer last sent something. */
  readonly lastReadMs: number;
  /** Calls in flight. */
  readonly calls: number;
  /** Id of the last stream that the peer has opened. */
  readonly lastStreamId: number;
  /** Our event loop stood still lately: silence proves nothing. */
  readonly hasStalled: boolean;
}

/** `ping`: send one, and look again in `PONG_MS`. `dead`: it was not answered. `idle`: it is to be closed in an orderly way. */
export type IdleVerdict = 'live' | 'ping' | 'dead' | 'idle';

/**
 * Which accepted connections have lost their use: those without a call for an hour, and those whose peer is gone without a word,
 * which would hold their calls for ever. A quiet stream, such as a Watch, is neither as long as its peer answers PINGs. Times
 * are monotonic ms.
 */
export class IdleWatch {
  private lastStreamId = 0;
  private pingedMs = 0;

  /** @param usedMs when the connection was last of use: now, at first. */
  constructor(private usedMs: number) {}

  look({ nowMs, lastReadMs, calls, lastStreamId, hasStalled }: ConnectionLook): IdleVerdict {
    if (calls > 0 || lastStreamId !== this.lastStreamId) this.usedMs = nowMs;
    this.lastStreamId = lastStreamId;
    if (calls === 0) return nowMs - this.usedMs >= IDLE_LIMIT_MS ? 'idle' : 'live';
    if (nowMs - lastReadMs < KEEPALIVE_MS) return 'live';
    if (this.pingedMs <= lastReadMs) {
      this.pingedMs = nowMs;
      return 'ping';
    }
    return nowMs - this.pingedMs >= PONG_MS && !hasStalled ? 'dead' : 'live';
  }
}
