/**
 * Who is far slower than its peers at calls of the same kind: method, model and size of the request explain most of what
 * a call takes (call-kinds.ts). Medians are compared: they are moved neither by a few slow calls nor by a pause of ours.
 */
import { PER_MS, RecentTimes } from '../stats/histogram.js';

/** Latencies of this and of the previous span of time are known, ms. */
export const SPAN_MS = 5_000;
/** Kinds of calls that are told apart at a time; the times of each take 0.8 KiB at every endpoint. */
export const KINDS = 64;
/** Four buckets to a doubling: a median is off by an eighth at most. */
const STEP_BITS = 2;
const DOUBLINGS = 26;
/** Medians nearer than this are alike whatever their ratio, ms. */
const MIN_EXCESS_MS = 2;

export interface LatencySettings {
  /** How many times the peers' median is too slow. */
  readonly factor: number;
  /** Calls of one kind that an endpoint and a peer need to be compared. */
  readonly minCalls: number;
}

/** What one endpoint took lately, by the kind of call. */
export class Latencies {
  private readonly byKind: (RecentTimes | undefined)[] = new Array(KINDS).fill(undefined);

  /** A unary call that succeeded after `elapsedMs`. @param kind the same for all that are compared, below `KINDS`. */
  record(kind: number, elapsedMs: number, nowMs: number): void {
    let window = this.byKind[kind];
    if (window === undefined) {
      window = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);
      this.byKind[kind] = window;
    }
    window.record(elapsedMs, nowMs);
  }

  clear(): void {
    this.byKind.fill(undefined);
  }

  /** @internal */
  at(kind: number, nowMs: number): RecentTimes | undefined {
    const window = this.byKind[kind];
    window?.forget(nowMs);
    return window;
  }
}

/** One endpoint beside its peers, at calls of one kind. */
export interface Slowness {
  readonly medianMs: number;
  readonly peerLatencyMs: number;
  readonly calls: number;
}

/**
 * Compares all with each other; for each what speaks against it, or undefined: nothing. An endpoint is slow when it is
 * too slow at the kinds that most of its comparable calls were of.
 */
export function judgeLatencies(
  all: readonly Latencies[],
  { factor, minCalls }: LatencySettings,
  nowMs: number,
): readonly (Slowness | undefined)[] {
  return compare(all, minCalls, nowMs).map((kinds) => {
    const slow = kinds.filter(
      ({ medianMs, peerLatencyMs }) =>
        medianMs > peerLatencyMs * factor && medianMs - peerLatencyMs >= MIN_EXCESS_MS,
    );
    if (callsOf(slow) * 2 <= callsOf(kinds)) return undefined;
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
  return compare(all, minCalls, nowMs).map((kinds) => {
    let left = callsOf(kinds) / 2;
    const fromSlowest = kinds
      .map((each) => ({ calls: each.calls, ratio: ratioOf(each) }))
      .sort((a, b) => b.ratio - a.ratio);
    for (const { calls, ratio } of fromSlowest) {
      left -= calls;
      if (left < 0) return ratio;
    }
    return undefined;
  });
}

/** For each the kinds at which both it and a peer have calls enough. */
function compare(all: readonly Latencies[], minCalls: number, nowMs: number): Slowness[][] {
  const found: Slowness[][] = all.map(() => []);
  for (let kind = 0; kind < KINDS; kind += 1) {
    const known = all.flatMap((latencies, i) => {
      const window = latencies.at(kind, nowMs);
      return window === undefined || window.count < minCalls || window.count === 0
        ? []
        : [{ i, calls: window.count, medianMs: window.quantile(0.5) }];
    });
    if (known.length < 2) continue;
    const sorted = known.map(({ medianMs }) => medianMs).sort((a, b) => a - b);
    for (const { i, calls, medianMs } of known) {
      found[i]!.push({ calls, medianMs, peerLatencyMs: medianWithout(sorted, sorted.indexOf(medianMs)) });
    }
  }
  return found;
}

function callsOf(kinds: readonly Slowness[]): number {
  return kinds.reduce((sum, { calls }) => sum + calls, 0);
}

function ratioOf({ medianMs, peerLatencyMs }: Slowness): number {
  return medianMs / Math.max(peerLatencyMs, 1 / PER_MS);
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
