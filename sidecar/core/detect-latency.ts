/**
 * Who is far slower than its peers at requests of similar size. Medians are compared: they are moved neither by a few
 * slow calls nor by a pause of ours. Sizes are told apart by powers of 4, for size explains most of a model's latency.
 */
import { PER_MS, RecentTimes } from './recent-times.js';

/** Latencies of this and of the previous span of time are known, ms. */
export const SPAN_MS = 5_000;
/** Sizes of requests: 0 to 3 octets, 4 to 15, … 64 MiB and more. */
const SIZES = 14;
/** Four buckets to a doubling: a median is off by an eighth at most. */
const STEP_BITS = 2;
const DOUBLINGS = 26;
/** Medians nearer than this are alike whatever their ratio, ms. */
const MIN_EXCESS_MS = 2;

export interface LatencySettings {
  /** How many times the peers' median is too slow. */
  readonly factor: number;
  /** Calls of one size that an endpoint and a peer need to be compared. */
  readonly minCalls: number;
}

/** What one endpoint took lately, by the size of requests. */
export class Latencies {
  private readonly bySize: (RecentTimes | undefined)[] = new Array(SIZES).fill(undefined);

  /** A unary call of `bytes` that succeeded after `elapsedMs`. */
  record(bytes: number, elapsedMs: number, nowMs: number): void {
    const size = sizeOf(bytes);
    let window = this.bySize[size];
    if (window === undefined) {
      window = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);
      this.bySize[size] = window;
    }
    window.record(elapsedMs, nowMs);
  }

  clear(): void {
    this.bySize.fill(undefined);
  }

  /** @internal */
  at(size: number, nowMs: number): RecentTimes | undefined {
    const window = this.bySize[size];
    window?.forget(nowMs);
    return window;
  }
}

/** One endpoint beside its peers, at requests of one size. */
export interface Slowness {
  readonly medianMs: number;
  readonly peersMs: number;
  readonly calls: number;
}

/**
 * Compares all with each other; for each what speaks against it, or undefined: nothing. An endpoint is slow when it is
 * too slow at the sizes that most of its comparable calls had.
 */
export function judgeLatencies(
  all: readonly Latencies[],
  { factor, minCalls }: LatencySettings,
  nowMs: number,
): readonly (Slowness | undefined)[] {
  return compare(all, minCalls, nowMs).map((sizes) => {
    const slow = sizes.filter(
      ({ medianMs, peersMs }) => medianMs > peersMs * factor && medianMs - peersMs >= MIN_EXCESS_MS,
    );
    if (callsOf(slow) * 2 <= callsOf(sizes)) return undefined;
    return slow.reduce((worst, each) => (each.calls > worst.calls ? each : worst));
  });
}

/**
 * How many times the median of its peers each takes, in one number: it is found slow by every factor below that, tiny
 * differences aside. Undefined: too little to compare. More than half of its comparable calls had this ratio or a higher.
 */
export function ratiosToPeers(
  all: readonly Latencies[],
  minCalls: number,
  nowMs: number,
): readonly (number | undefined)[] {
  return compare(all, minCalls, nowMs).map((sizes) => {
    let left = callsOf(sizes) / 2;
    const fromSlowest = sizes
      .map((each) => ({ calls: each.calls, ratio: ratioOf(each) }))
      .sort((a, b) => b.ratio - a.ratio);
    for (const { calls, ratio } of fromSlowest) {
      left -= calls;
      if (left < 0) return ratio;
    }
    return undefined;
  });
}

/** For each the sizes at which both it and a peer have calls enough. */
function compare(all: readonly Latencies[], minCalls: number, nowMs: number): Slowness[][] {
  const found: Slowness[][] = all.map(() => []);
  for (let size = 0; size < SIZES; size += 1) {
    const known = all.flatMap((latencies, i) => {
      const window = latencies.at(size, nowMs);
      return window === undefined || window.count < minCalls || window.count === 0
        ? []
        : [{ i, calls: window.count, medianMs: window.quantile(0.5) }];
    });
    if (known.length < 2) continue;
    const sorted = known.map(({ medianMs }) => medianMs).sort((a, b) => a - b);
    for (const { i, calls, medianMs } of known) {
      found[i]!.push({ calls, medianMs, peersMs: medianWithout(sorted, sorted.indexOf(medianMs)) });
    }
  }
  return found;
}

function callsOf(sizes: readonly Slowness[]): number {
  return sizes.reduce((sum, { calls }) => sum + calls, 0);
}

function ratioOf({ medianMs, peersMs }: Slowness): number {
  return medianMs / Math.max(peersMs, 1 / PER_MS);
}

/** In words. */
export function slownessIn(slowness: Slowness): string {
  const { medianMs, calls } = slowness;
  const times = ratioOf(slowness).toFixed(1);
  return `median latency ${medianMs.toFixed(1)} ms over ${calls} calls, ${times} times that of its peers`;
}

/** The median of ascending values, the one at `index` left out. */
function medianWithout(sorted: readonly number[], index: number): number {
  const at = (i: number): number => sorted[i < index ? i : i + 1]!;
  const count = sorted.length - 1;
  const middle = count >> 1;
  return count % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
}

/** Powers of 4. */
export function sizeOf(bytes: number): number {
  return bytes < 4 ? 0 : Math.min((31 - Math.clz32(Math.min(bytes, 0x7fff_ffff))) >> 1, SIZES - 1);
}
