import { ErrorCode } from '../../http2/constants.js';

/**
 * PINGs between two HEADERS or DATA of a gRPC server that it bears at any distance: the first is free, and of the two that it
 * forgives one is left (gRFC A8; `max_ping_strikes` is 2 in gRPC's C, Go and Java servers).
 */
const FREE_PINGS = 2;
/** Farther apart than gRPC servers ask for by default, which is 5 min. */
const BORNE_GAP_MS = 330_000;

/**
 * How often a peer that is no sidecar gets a PING in one silence. A gRPC server ends a connection, and all calls on it, for
 * PINGs that come more often than it allows; its answers to them do not count as signs of life of a call. So two come as
 * soon as they are due, and the others rarely. Times are monotonic ms.
 */
export class PingRation {
  private sent = 0;
  private lastMs = 0;

  onPing(nowMs: number): void {
    this.sent += 1;
    this.lastMs = nowMs;
  }

  /** The peer has sent something that is no answer to a PING. */
  onSign(): void {
    this.sent = 0;
  }

  /** When the next one may be sent that would otherwise be due at `dueMs`. */
  notBefore(dueMs: number): number {
    return this.sent < FREE_PINGS ? dueMs : Math.max(dueMs, this.lastMs + BORNE_GAP_MS);
  }
}

/** Whether a GOAWAY with this code and these words ends the connection for its PINGs. */
export function isTooManyPings(code: number, debug: string): boolean {
  return code === ErrorCode.enhanceYourCalm && /too.many.pings/i.test(debug);
}
