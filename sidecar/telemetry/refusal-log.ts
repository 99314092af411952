import type { Logger } from '../runtime/log/logger.js';

/** A peer is in the log once in this time for the same reason, ms. */
const GAP_MS = 10_000;
/** Peers and reasons that are told apart; endpoints come and go. */
const MAX_LINES = 256;

/** A peer whose certificate was refused. */
export interface Refusal {
  /** Stable name, as in `outrider_handshake_failures_total`. */
  readonly reason: string;
  /** What was found and what was expected, in words. */
  readonly detail: string;
  /** Where it is or comes from, by which the log tells peers apart. */
  readonly peer: string;
}

/**
 * Tells the log which peer was refused in a handshake, and why. The other side learns no more than that the connection was
 * closed, so that this line is where the cause stands. Each peer has one for each reason in ten seconds, with the number of times
 * before that were not logged: refused peers come again.
 */
export class RefusalLog {
  private readonly lines = new Map<string, { loggedMs: number; unlogged: number }>();

  constructor(
    private readonly logger: Logger,
    private readonly now: () => number,
  ) {}

  /** @param message what the line says; `fields` beside those of the refusal. */
  note(
    { reason, detail, peer }: Refusal,
    message: string,
    fields: Readonly<Record<string, string>> = {},
  ): void {
    const now = this.now();
    const key = `${peer} ${reason}`;
    if (!this.lines.has(key) && this.lines.size >= MAX_LINES) this.lines.clear();
    const line = this.lines.get(key) ?? { loggedMs: Number.NEGATIVE_INFINITY, unlogged: 0 };
    this.lines.set(key, line);
    if (now - line.loggedMs < GAP_MS) {
      line.unlogged++;
      return;
    }
    const more = line.unlogged > 0 ? { unloggedBefore: line.unlogged } : {};
    line.loggedMs = now;
    line.unlogged = 0;
    this.logger.warn({ ...fields, peer, reason, detail, ...more }, message);
  }
}
