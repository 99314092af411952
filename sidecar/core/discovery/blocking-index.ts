/** Index of a read that does not block. Indexes are unsigned 64-bit numbers, hence bigints. */
export const FRESH = 0n;
const LARGEST = 2n ** 64n - 1n;

/** The index that `X-Consul-Index` holds; undefined when it is absent or no unsigned 64-bit number. */
export function parseIndex(header: string | undefined): bigint | undefined {
  if (header === undefined || !/^\d{1,20}$/.test(header)) return undefined;
  const index = BigInt(header);
  return index <= LARGEST ? index : undefined;
}

/** The next step of a blocking query. */
export interface AfterAnswer {
  /** Index of the next read. */
  readonly next: bigint;
  /** The answer can differ from the one before. */
  readonly news: boolean;
  /** The index went backwards: the answer may be older than what is known. */
  readonly reset: boolean;
  /** No index to block on: the next read waits for the poll interval. */
  readonly poll: boolean;
}

/** What follows from an answer with index `answered` to a read with `asked` (Consul documentation, "Blocking Queries"). */
export function afterAnswer(asked: bigint, answered: bigint | undefined): AfterAnswer {
  // An API endpoint without an index cannot block: each answer may differ.
  if (answered === undefined) return { next: FRESH, news: true, reset: false, poll: true };
  // Some Consul versions give 0 for what does not exist yet. Blocking on 1 is always safe, and such an answer may be new.
  if (answered === 0n && asked <= 1n) return { next: 1n, news: true, reset: false, poll: false };
  if (answered < asked) return { next: FRESH, news: false, reset: true, poll: false };
  return { next: answered, news: answered > asked, reset: false, poll: false };
}

/** Timeout of a read that does not block, and what a blocking one gets beyond its wait, ms: large answers, slow agents. */
export const SLACK_MS = 10_000;

/** Times of one blocking read. */
export interface ReadTimes {
  /** The query's `wait`. */
  readonly waitMs: number;
  /** Timeout of the request. */
  readonly timeoutMs: number;
}

/**
 * Wait and timeout of a blocking read. The agent adds up to a sixteenth of `wait`, though not to answers from its own cache, so
 * up to a sixteenth is subtracted here, and queries begun together diverge.
 */
export function readTimeout(waitMs: number, slackMs: number, random: () => number): ReadTimes {
  const asked = Math.max(1_000, Math.round(waitMs * (1 - random() / 16)));
  return { waitMs: asked, timeoutMs: asked + asked / 16 + slackMs };
}

/** `wait` of a query whose indexes are not trusted, ms. */
export const SUSPECT_WAIT_MS = 10_000;
/** A read that took this long was blocked by the agent, ms. */
const HELD_MS = 1_000;

/** A finished read. */
export interface ReadFacts {
  /** It had an index. */
  readonly isBlocking: boolean;
  /** Its value differs from the one before. */
  readonly isChange: boolean;
  readonly isReset: boolean;
  readonly tookMs: number;
  /** The query's ReadBucket was empty. */
  readonly isBucketEmpty: boolean;
}

/**
 * Whether the indexes of a query are suspect after one more read. An agent that answers at once, again and again, with nothing
 * new may leave an index that the real one reaches in years, and a full `wait` on it would miss changes. Suspicion ends
 * with a read that blocked and whose index is in order.
 */
export function isSuspect(before: boolean, read: ReadFacts): boolean {
  if (!read.isBlocking) return before;
  if (read.tookMs < HELD_MS) return before || (read.isBucketEmpty && !read.isChange);
  return before && read.isReset;
}

const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;
/** Bound for an agent that does not answer at all, ms: asking costs little, and its return has to be noticed within 5 s. */
const BACKOFF_MAX_SILENT_MS = 4_000;

/**
 * Wait after the `failures`-th failed read in a row (1 for the first), ms: between half and all of 250 ms × 2^n, at most 30 s;
 * at most 4 s while the agent does not answer at all.
 */
export function readBackoffMs(failures: number, isSilent: boolean, random: () => number): number {
  const most = isSilent ? BACKOFF_MAX_SILENT_MS : BACKOFF_MAX_MS;
  const full = Math.min(BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 30), most);
  return full * (0.5 + 0.5 * random());
}

/** Reads that may follow each other at once; and in the long run, per second. */
const READ_BURST = 5;
const READS_PER_SECOND = 1;

/** Token bucket of one query: a looping index, or a service that changes all the time, costs one read a second. */
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

  /** The agent answers again: every query of every client reads at once now, so the burst is limited to one. */
  returned(nowMs: number): void {
    this.refill(nowMs);
    this.tokens = Math.min(this.tokens, 1);
  }

  private refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.atMs);
    this.atMs = Math.max(this.atMs, nowMs);
    this.tokens = Math.min(READ_BURST, this.tokens + (elapsedMs / 1_000) * READS_PER_SECOND);
    // Rounding: a timer for the exact delay has to find its token.
    if (this.tokens > 1 - 1e-6 && this.tokens < 1) this.tokens = 1;
  }
}
