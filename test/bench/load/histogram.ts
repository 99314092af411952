/** Latencies in microseconds, in buckets about 1.6 % wide: constant memory, no allocation per value. */

const MANTISSA_BITS = 6;
const MANTISSA = 1 << MANTISSA_BITS;

/** Counts latencies and answers quantiles. */
export class Histogram {
  private readonly counts = new Uint32Array(32 * MANTISSA);
  private total = 0;
  /** The highest of all values. */
  max = 0;

  add(us: number): void {
    const v = us < 0 ? 0 : us > 0x7fffffff ? 0x7fffffff : us | 0;
    this.counts[bucketOf(v)]!++;
    this.total++;
    if (v > this.max) this.max = v;
  }

  /** Upper edge of the bucket that holds the given share of the values; 0 when there are none. */
  quantile(share: number): number {
    if (this.total === 0) return 0;
    const rank = Math.max(1, Math.ceil(share * this.total));
    let seen = 0;
    for (let i = 0; i < this.counts.length; i++) {
      seen += this.counts[i]!;
      if (seen >= rank) return Math.min(upperEdge(i), this.max);
    }
    return this.max;
  }
}

function bucketOf(v: number): number {
  if (v < MANTISSA * 2) return v;
  const shift = 31 - Math.clz32(v) - MANTISSA_BITS;
  return shift * MANTISSA + (v >> shift);
}

function upperEdge(bucket: number): number {
  if (bucket < MANTISSA * 2) return bucket;
  const shift = Math.floor(bucket / MANTISSA) - 1;
  return ((bucket - shift * MANTISSA + 1) << shift) - 1;
}
