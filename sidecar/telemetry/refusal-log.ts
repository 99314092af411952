import type { Logger } from '../runtime/log/logger.js';

/** A peer is in the log once in this time for the same reason, ms. */
const GAP_MS = 10_000;
/** Peers and reasons that are told apart; endpoints come and go. What is more within the gap shares one line. */
const MAX_LINES = 256;

/** When a line was last logged, and what has come since. */
interface Line {
  loggedMs: number;
  unlogged: number;
}

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
 * before that were not logged: refused peers come again. Where more peers are refused than are told apart, the rest of them have one
 * line in ten seconds together, with the number of the others (`unloggedOthers`).
 */
export class RefusalLog {
  /** By peer and reason, the one logged longest ago first. */
  private readonly lines = new Map<string, Line>();
  /** Of peers that are not told apart. */
  private readonly rest: Line = { loggedMs: Number.NEGATIVE_INFINITY, unlogged: 0 };

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
    const line = this.lineOf(`${peer} ${reason}`, now);
    if (now - line.loggedMs < GAP_MS) {
      line.unlogged++;
      return;
    }
    const name = line === this.rest ? 'unloggedOthers' : 'unloggedBefore';
    const more = line.unlogged > 0 ? { [name]: line.unlogged } : {};
    line.loggedMs = now;
    line.unlogged = 0;
    this.logger.warn({ ...fields, peer, reason, detail, ...more }, message);
  }

  /** Its own line, for which the oldest one gives way once it may be logged again; else that of the rest. */
  private lineOf(key: string, now: number): Line {
    const { lines } = this;
    const known = lines.get(key);
    if (known !== undefined && now - known.loggedMs < GAP_MS) return known;
    if (known === undefined && lines.size >= MAX_LINES) {
      const [oldestKey, oldest] = lines.entries().next().value!;
      if (now - oldest.loggedMs < GAP_MS) return this.rest;
      lines.delete(oldestKey);
      this.rest.unlogged += oldest.unlogged;
    }
    const line = known ?? { loggedMs: Number.NEGATIVE_INFINITY, unlogged: 0 };
    // It is logged now, and so the last one.
    lines.delete(key);
    lines.set(key, line);
    return line;
  }
}
