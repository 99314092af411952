/**
 * Bounds on what a peer may make us do (RFC 9113 section 10.5; CVE-2019-9511…9518, CVE-2023-44487, CVE-2025-8671).
 * Each is a token bucket: `burst` at once, `perSecond` for ever. The numbers, which a configuration may change, are far above
 * what gRPC clients do and far below what hurts. A limit that is hit ends the connection with ENHANCE_YOUR_CALM and counts under its name.
 */

export interface Bucket {
  readonly burst: number;
  readonly perSecond: number;
}

export const BUCKETS = {
  /** RST_STREAM received. A busy client may cancel 1,000 calls a second for ever; dispatch is deferred, so they cost little. */
  'rapid-resets': { burst: 5000, perSecond: 2000 },
  /** Streams we had to reset because the peer broke a rule on them. */
  violations: { burst: 100, perSecond: 10 },
  settings: { burst: 100, perSecond: 20 },
  goaways: { burst: 20, perSecond: 2 },
  /**
   * PING received, less one for each HEADERS or DATA we wrote since: gRPC clients and servers that measure bandwidth send
   * one PING for DATA they receive (gRFC A8 forgives those in the same way). What is written never counts ahead.
   */
  pings: { burst: 500, perSecond: 100 },
  /** DATA, HEADERS or CONTINUATION without payload that end nothing. */
  'empty-frames': { burst: 100, perSecond: 10 },
  /** PRIORITY, unknown frames, acknowledgements of nothing, RST_STREAM from a server for streams that are not open. */
  'idle-frames': { burst: 10_000, perSecond: 2000 },
  'window-updates': { burst: 100_000, perSecond: 50_000 },
  /** Header lists longer than we announced. */
  'header-list': { burst: 10, perSecond: 1 },
} as const satisfies Record<string, Bucket>;

/**
 * Client: RST_STREAM sent on one connection before it counts as worn. Servers end connections whose client resets too much
 * (CVE-2023-44487): nghttp2, and so Node, after 1,000 and 33 a second, our own listeners as above. Cancels of all
 * callers meet on one connection to the endpoint, so it is replaced well before that, calls in flight included.
 */
export const RESETS_SENT: Bucket = { burst: 500, perSecond: 20 };

export type Buckets = Readonly<Record<keyof typeof BUCKETS, Bucket>>;

/** The buckets with other rates; what may be done at once grows and shrinks with the rate. Absent ones stay as they are. */
export function bucketsOf(perSecond: Partial<Readonly<Record<keyof typeof BUCKETS, number>>>): Buckets {
  const entries = Object.entries(BUCKETS).map(([name, bucket]) => {
    const rate = perSecond[name as keyof typeof BUCKETS] ?? bucket.perSecond;
    return [name, { burst: Math.round((bucket.burst / bucket.perSecond) * rate), perSecond: rate }];
  });
  return Object.fromEntries(entries) as Buckets;
}

/** Hard bounds of a connection; same consequence. */
export const BLOCK_FRAMES = 32;
export const BLOCK_BYTES = 64 * 1024;
/** Control octets (acknowledgements, resets) a peer may leave unread. */
export const UNREAD_CONTROL_BYTES = 128 * 1024;
/** 1xx answers to one request. */
export const INFORMATIONAL = 10;

export type LimitName =
  | keyof typeof BUCKETS
  | 'header-block-frames'
  | 'concurrent-streams'
  | 'unread-output'
  | 'informational'
  | 'handshake-timeout'
  | 'handshake-rate'
  | 'silent-connections'
  | 'expired-certificate'
  | 'connections'
  | 'descriptors'
  | 'stalled-frame';

export const LIMIT_NAMES: readonly LimitName[] = [
  ...(Object.keys(BUCKETS) as (keyof typeof BUCKETS)[]),
  'header-block-frames',
  'concurrent-streams',
  'unread-output',
  'informational',
  'handshake-timeout',
  'handshake-rate',
  'silent-connections',
  'expired-certificate',
  'connections',
  'descriptors',
  'stalled-frame',
];

/** A bucket in use. `take` costs two comparisons until the burst is used up. */
export class Meter {
  private level = 0;
  private sinceMs = 0;
  /** Events since the first, which was then: for the words of a limit that is hit. */
  count = 0;
  firstMs = 0;

  constructor(readonly bucket: Bucket) {}

  /** Counts one event at `nowMs` (monotonic); false when that is one too many. */
  take(nowMs: number): boolean {
    if (this.count++ === 0) this.firstMs = nowMs;
    if (this.level < this.bucket.burst) {
      if (this.level === 0) this.sinceMs = nowMs;
      this.level++;
      return true;
    }
    this.level = Math.max(0, this.level - ((nowMs - this.sinceMs) * this.bucket.perSecond) / 1000);
    this.sinceMs = nowMs;
    if (this.level >= this.bucket.burst) return false;
    this.level++;
    return true;
  }

  /** Takes one event back that was counted; never goes below none. */
  forgive(): void {
    if (this.level > 0) this.level = this.level > 1 ? this.level - 1 : 0;
  }
}

export class Meters {
  readonly rapidResets: Meter;
  readonly violations: Meter;
  readonly settings: Meter;
  readonly goaways: Meter;
  readonly pings: Meter;
  readonly emptyFrames: Meter;
  readonly idleFrames: Meter;
  readonly windowUpdates: Meter;
  readonly headerList: Meter;

  constructor(buckets: Buckets) {
    this.rapidResets = new Meter(buckets['rapid-resets']);
    this.violations = new Meter(buckets.violations);
    this.settings = new Meter(buckets.settings);
    this.goaways = new Meter(buckets.goaways);
    this.pings = new Meter(buckets.pings);
    this.emptyFrames = new Meter(buckets['empty-frames']);
    this.idleFrames = new Meter(buckets['idle-frames']);
    this.windowUpdates = new Meter(buckets['window-updates']);
    this.headerList = new Meter(buckets['header-list']);
  }

  /** The meter of a limit that is a bucket. */
  of(name: LimitName): Meter | undefined {
    switch (name) {
      case 'rapid-resets':
        return this.rapidResets;
      case 'violations':
        return this.violations;
      case 'settings':
        return this.settings;
      case 'goaways':
        return this.goaways;
      case 'pings':
        return this.pings;
      case 'empty-frames':
        return this.emptyFrames;
      case 'idle-frames':
        return this.idleFrames;
      case 'window-updates':
        return this.windowUpdates;
      case 'header-list':
        return this.headerList;
      default:
        return undefined;
    }
  }
}
