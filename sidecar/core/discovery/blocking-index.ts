/**
 * How a blocking query of Consul is kept up: which index to ask with next, whether an answer can hold news, how long
 * to ask for and how long to wait between reads. After Consul's "Blocking Queries" documentation, its sections on
 * resetting the index when it goes backwards, on an index of at least 1, and on rate limiting.
 *
 * Indexes are unsigned 64-bit numbers, hence bigints.
 */

/** Asks without blocking: the answer comes at once. */
export const FRESH = 0n;
const LARGEST = 2n ** 64n - 1n;

/** The index that `X-Consul-Index` holds; undefined when it is absent or no unsigned 64-bit number. */
export function parseIndex(header: string | undefined): bigint | undefined {
  if (header === undefined || !/^\d{1,20}$/.test(header)) return undefined;
  const index = BigInt(header);
  return index <= LARGEST ? index : undefined;
}

export interface AfterAnswer {
  /** What to ask with next. */
  readonly next: bigint;
  /** Whether the answer can differ from the one before it, and is to be looked at. */
  readonly news: boolean;
  /** The index went backwards: what this answer says may be older than what is known. */
  readonly reset: boolean;
  /** Nothing to block on: the next read waits for the poll interval. */
  readonly poll: boolean;
}

/** What an answer with index `answered` means to a read that asked with `asked`. */
export function afterAnswer(asked: bigint, answered: bigint | undefined): AfterAnswer {
  // An endpoint without an index cannot block: each of its answers may be news.
  if (answered === undefined) return { next: FRESH, news: true, reset: false, poll: true };
  // A bug of some Consul versions gives 0 for what does not exist yet. Blocking on 1 is always safe, and since such
  // an answer says nothing about change, it is looked at.
  if (answered === 0n && asked <= 1n) return { next: 1n, news: true, reset: false, poll: false };
  if (answered < asked) return { next: FRESH, news: false, reset: true, poll: false };
  return { next: answered, news: answered > asked, reset: false, poll: false };
}

/** A read that does not block, and the slack of one that does, have this long: large answers, slow agents. */
export const SLACK_MS = 10_000;

export interface Patience {
  /** The query's `wait`. */
  readonly waitMs: number;
  /** When the read is given up. */
  readonly timeoutMs: number;
}

/**
 * How long a blocking read asks for and is given. The agent adds up to a sixteenth of `wait` by itself, though not
 * for what it answers from its own cache, so up to a sixteenth is taken off here, and queries begun together part.
 */
export function readTimeout(waitMs: number, slackMs: number, random: () => number): Patience {
  const asked = Math.max(1_000, Math.round(waitMs * (1 - random() / 16)));
  return { waitMs: asked, timeoutMs: asked + asked / 16 + slackMs };
}

/** The `wait` of a query whose indexes are not to be trusted. */
export const SUSPECT_WAIT_MS = 10_000;
/** A read that took this long was held by the agent. */
const HELD_MS = 1_000;

export interface ReadFacts {
  /** It asked with an index. */
  readonly isBlocking: boolean;
  /** Its value was another than the one before. */
  readonly isChange: boolean;
  readonly isReset: boolean;
  readonly tookMs: number;
  /** Reads come faster than they may. */
  readonly isBucketEmpty: boolean;
}

/**
 * Whether the indexes of a query are to be suspected, after one more answer. An agent that answers at once, again and
 * again, with nothing new may leave an index behind that the truth reaches in years, and a full `wait` on it would be
 * spent deaf. Suspicion ends with a read that was held and came back in order.
 */
export function isSuspect(before: boolean, read: ReadFacts): boolean {
  if (!read.isBlocking) return before;
  if (read.tookMs < HELD_MS) return before || (read.isBucketEmpty && !read.isChange);
  return before && read.isReset;
}

const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;
/** An agent that says nothing costs little to ask, and its return is to be noticed within 5 s. */
const BACKOFF_MAX_SILENT_MS = 4_000;

/**
 * The wait after the `failures`-th failed read in a row (1 for the first): between half and all of 250 ms × 2^n, at
 * most 30 s; at most 4 s while the agent does not answer at all.
 */
export function readBackoffMs(failures: number, isSilent: boolean, random: () => number): number {
  const most = isSilent ? BACKOFF_MAX_SILENT_MS : BACKOFF_MAX_MS;
  const full = Math.min(BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 30), most);
  return full * (0.5 + 0.5 * random());
}

/** Reads that may follow each other at once, and how many a second in the long run. */
const READ_BURST = 5;
const READS_PER_SECOND = 1;

/** The token bucket of one query: a looping index, or a service that never rests, costs one read a second. */
export class ReadBucket {
  private tokens = READ_BURST;
  private atMs: number;

  constructor(nowMs: number) {
    this.atMs = nowMs;
  }

  /** Milliseconds until a read may begin; 0: now. */
  delayMs(nowMs: number): number {
    this.refill(nowMs);
    return this.tokens >= 1 ? 0 : Math.ceil(((1 - this.tokens) / READS_PER_SECOND) * 1_000);
  }

  /** A read begins. */
  take(nowMs: number): void {
    this.refill(nowMs);
    this.tokens = Math.max(0, this.tokens - 1);
  }

  /** The agent answers again: all that changes there now makes every query of everybody read at once. */
  returned(nowMs: number): void {
    this.refill(nowMs);
    this.tokens = Math.min(this.tokens, 1);
  }

  private refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.atMs);
    this.atMs = Math.max(this.atMs, nowMs);
    this.tokens = Math.min(READ_BURST, this.tokens + (elapsedMs / 1_000) * READS_PER_SECOND);
    // So that a timer for the exact delay finds its token whatever the fractions added up to.
    if (this.tokens > 1 - 1e-6 && this.tokens < 1) this.tokens = 1;
  }
}
