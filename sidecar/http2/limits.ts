/** A token bucket: `burst` events at once, `perSecond` in the long run. */
export interface Bucket {
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * Bounds on the work that a peer may cause (RFC 9113 section 10.5; CVE-2019-9511…9518, CVE-2023-44487, CVE-2025-8671). The
 * defaults, which the configuration may change, are far above what gRPC clients do and far below what harms. Exceeding one
 * ends the connection with ENHANCE_YOUR_CALM and counts under its name.
 */
export const BUCKETS = {
  /** RST_STREAM received. A busy client may cancel 1,000 calls a second; dispatch is deferred, so they cost little. */
  'rapid-resets': { burst: 5000, perSecond: 2000 },
  /** Streams we had to reset because the peer broke a rule on them. */
  violations: { burst: 100, perSecond: 10 },
  settings: { burst: 100, perSecond: 20 },
  goaways: { burst: 20, perSecond: 2 },
  /**
   * PING received, less one for each HEADERS or DATA we wrote since: gRPC clients and servers that measure bandwidth send
   * one PING for DATA they receive (gRFC A8 forgives those in the same way). Frames written before do not count.
   */
  pings: { burst: 500, perSecond: 100 },
  /** DATA, HEADERS or CONTINUATION without payload that end nothing. */
  'empty-frames': { burst: 100, perSecond: 10 },
  /** PRIORITY, unknown frames, unexpected acknowledgements, RST_STREAM from a server for streams that are not open. */
  'idle-frames': { burst: 10_000, perSecond: 2000 },
  'window-updates': { burst: 100_000, perSecond: 50_000 },
  /** Header lists `FAR_TOO_LONG` times as long as we announced, or longer: of a client all, of a server those that answer no open call. */
  'header-list': { burst: 10, perSecond: 1 },
} as const satisfies Record<string, Bucket>;

/**
 * Client: RST_STREAM sent on one connection before it counts as worn. Servers end connections whose client resets too much
 * (CVE-2023-44487): nghttp2, and so Node, after 1,000 and 33 a second, our own listeners as above. Cancels of all
 * callers meet on one connection to the endpoint, so it is replaced well before that, calls in flight included.
 */
export const RESETS_SENT: Bucket = { burst: 500, perSecond: 20 };

/** A bucket for each kind of event. */
export type Buckets = Readonly<Record<keyof typeof BUCKETS, Bucket>>;

/** The default buckets with other rates, events a second; a burst changes in proportion. Absent ones keep the default. */
export function bucketsOf(perSecond: Partial<Readonly<Record<keyof typeof BUCKETS, number>>>): Buckets {
  const entries = Object.entries(BUCKETS).map(([name, bucket]) => {
    const rate = perSecond[name as keyof typeof BUCKETS] ?? bucket.perSecond;
    return [name, { burst: Math.round((bucket.burst / bucket.perSecond) * rate), perSecond: rate }];
  });
  return Object.fromEntries(entries) as Buckets;
}

/** Bytes of one encoded header block, at most, where header lists are short. */
const BLOCK_BYTES = 64 * 1024;
/** A frame of a header block has so many bytes on average, at least. */
const BLOCK_FRAME_BYTES = 2048;

/**
 * Bytes of one encoded header block, at most. A list beyond `maxListBytes` costs its own call, because the block is decoded to its
 * end; a block beyond this ends the connection.
 */
export function maxBlockBytes(maxListBytes: number): number {
  return Math.max(BLOCK_BYTES, 2 * maxListBytes);
}

/** HEADERS and CONTINUATION frames of one block of up to `blockBytes`, at most. */
export function maxBlockFrames(blockBytes: number): number {
  return blockBytes / BLOCK_FRAME_BYTES;
}
/**
 * A request with a header list longer than announced is refused, and costs less than one that is taken. One that is longer by this
 * factor is no mistake of a client: it costs time to decode, also where its stream is refused or closed.
 */
export const FAR_TOO_LONG = 4;
/** Control bytes (acknowledgements, resets) a peer may leave unread. */
export const UNREAD_CONTROL_BYTES = 128 * 1024;
/** Interim (1xx) responses to one request. */
export const INFORMATIONAL = 10;

/** Limits that are not buckets of one connection. */
const OTHER_LIMITS = [
  'header-block-frames',
  'concurrent-streams',
  'unread-output',
  'informational',
  'handshake-timeout',
  'handshake-rate',
  'silent-connections',
  'expired-certificate',
  'connections',
  'displaced-connections',
  'descriptors',
  'stalled-frame',
  'idle',
  'keepalive',
] as const;

/** Name of a limit in metrics and logs. */
export type LimitName = keyof typeof BUCKETS | (typeof OTHER_LIMITS)[number];

/** Names of all limits, for metrics and the log. */
export const LIMIT_NAMES: readonly LimitName[] = [
  ...(Object.keys(BUCKETS) as (keyof typeof BUCKETS)[]),
  ...OTHER_LIMITS,
];

/** The state of a bucket. `take` costs two comparisons until the burst is used up. */
export class Meter {
  private level = 0;
  private sinceMs = 0;
  /** Events so far, and when the first one was, monotonic ms: for the log line of an exceeded limit. */
  count = 0;
  firstMs = 0;

  constructor(
    readonly bucket: Bucket,
    /** The limit it enforces; null: another use. */
    readonly name: LimitName | null = null,
  ) {}

  /** Counts one event at `nowMs` (monotonic); false when it exceeds the limit. */
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

  /** Takes back one event that was counted; never below zero. */
  forgive(): void {
    if (this.level > 0) this.level = this.level > 1 ? this.level - 1 : 0;
  }
}

/** The meters of one connection, by the limits that they enforce. */
export type Meters = Readonly<Record<keyof Buckets, Meter>>;

/** Meters that have counted nothing yet. */
export function metersOf(buckets: Buckets): Meters {
  const meterOf = (name: keyof Buckets): Meter => new Meter(buckets[name], name);
  return {
    'rapid-resets': meterOf('rapid-resets'),
    violations: meterOf('violations'),
    settings: meterOf('settings'),
    goaways: meterOf('goaways'),
    pings: meterOf('pings'),
    'empty-frames': meterOf('empty-frames'),
    'idle-frames': meterOf('idle-frames'),
    'window-updates': meterOf('window-updates'),
    'header-list': meterOf('header-list'),
  };
}
