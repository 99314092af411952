import { PER_MS, RecentTimes } from '../stats/histogram.js';
import type { SweepDetector } from './detector.js';
import { FEW_CALLS, FewCalls } from './few-calls.js';
import { Turns } from './turns.js';
import { WorkMix } from './work-mix.js';

/** Latencies of the present and of the previous span of this length count, ms. */
export const SPAN_MS = 5_000;
/** Classes of calls compared separately; each takes 1.1 KiB per endpoint. */
export const MAX_CALL_CLASSES = 64;
/** Four buckets to a doubling: a median is off by an eighth at most. */
const STEP_BITS = 2;
const DOUBLINGS = 26;
/**
 * Medians that differ by less are equal whatever their ratio, ms. A call of a millisecond that waits for a time slice of another
 * process (3 to 4 ms on a machine of few cores) takes five times as long, and nothing is wrong with its endpoint.
 */
const MIN_EXCESS_MS = 5;
/**
 * Standard errors by which a median is moved against the suspicion, on either side. Calls of one class may take from a millisecond to
 * seconds; then the medians of equal endpoints differ by chance, at twenty calls by more than any factor.
 */
const STANDARD_ERRORS = 3;
/**
 * Part of an endpoint's work that may be of other classes and beyond what its peers do of the same. Calls find the run of another class before them at most in
 * so many cases, which is too few to move a median.
 */
const MAX_OTHER_WORK = 0.3;
/** Times that calls must have been slow one after the other, not together (turns.ts): one stall is no slow endpoint. */
const MIN_TURNS = 2;

/** When an endpoint is too slow beside its peers. */
export interface LatencySettings {
  /** Times the median of the peers above which an endpoint is slow. */
  readonly factor: number;
  /** Calls of one class, of the endpoint and of a peer, below which they are not compared. */
  readonly minCalls: number;
}

/**
 * An endpoint far slower than its peers at calls of the same class: method, model and size of the request explain most of
 * a call's latency (call-class.ts). Compares medians, which neither a few slow calls nor a pause of this process moves, and as far as
 * their difference cannot be chance: the confidence intervals of order statistics, which hold for any distribution, must not overlap.
 * What a call waited in a queue is no part of its time, and where that is known by bounds only, the endpoint is judged by the lower
 * and its peers by the upper one. The intervals count on calls that say something each, so that slow ones must also have begun after others of them had ended. Where
 * an endpoint does other work than its peers beside these calls, they are not compared: they wait for it.
 */
export const latency: SweepDetector<Latencies, LatencySettings> = {
  name: 'latency',
  goesByFaults: false,
  reads: 'latencies',
  find: (all, settings, nowMs) =>
    findSlow(all, settings, nowMs).map((slowness) =>
      slowness === undefined
        ? undefined
        : { why: describeSlowness(slowness, settings.minCalls), severity: ratioOf(slowness) },
    ),
};

/** Latencies of one endpoint by class of call. */
export class Latencies {
  private readonly byClass: (ClassTimes | undefined)[] = new Array(MAX_CALL_CLASSES).fill(undefined);

  /**
   * A unary call that succeeded, or the first message of a stream: the endpoint ran it for `leastMs` at least, and `mostMs` at most.
   * @param callClass number of its class, from `CallClasses`.
   */
  record(callClass: number, leastMs: number, nowMs: number, mostMs = leastMs): void {
    let times = this.byClass[callClass];
    if (times === undefined) {
      times = new ClassTimes();
      this.byClass[callClass] = times;
    }
    times.record(leastMs, mostMs, nowMs);
  }

  clear(): void {
    this.byClass.fill(undefined);
  }

  /** Of all classes together. */
  callsAt(nowMs: number): number {
    let calls = 0;
    for (let i = 0; i < MAX_CALL_CLASSES; i += 1) calls += this.at(i, nowMs)?.window.count ?? 0;
    return calls;
  }

  /** @internal */
  at(callClass: number, nowMs: number): ClassTimes | undefined {
    const times = this.byClass[callClass];
    times?.forget(nowMs);
    return times;
  }
}

/** Latencies of one endpoint's calls of one class. */
class ClassTimes {
  /** By the least that calls may have run. */
  readonly window = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);
  readonly turns = new Turns(SPAN_MS);
  /** By the most; null: no call has had two bounds. */
  private longest: RecentTimes | null = null;
  readonly few = new FewCalls();

  record(leastMs: number, mostMs: number, nowMs: number): void {
    this.window.record(leastMs, nowMs);
    this.turns.record(leastMs, nowMs);
    this.few.record(leastMs, nowMs);
    if (this.longest === null && mostMs > leastMs)
      this.longest = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);
    this.longest?.record(mostMs, nowMs);
  }

  forget(nowMs: number): void {
    this.window.forget(nowMs);
    this.longest?.forget(nowMs);
  }

  /** What a peer is held against: the most that calls here may have run, as far as that is known of them. */
  get asPeer(): RecentTimes {
    const { longest, window } = this;
    return longest !== null && longest.count * 2 >= window.count ? longest : window;
  }
}

/** One endpoint compared with its peers, at calls of one class. */
export interface Slowness {
  readonly calls: number;
  readonly medianMs: number;
  /** Median of the medians of its peers. */
  readonly peerLatencyMs: number;
}

/** With what is left of the difference when chance has had its part. */
interface Compared extends Slowness {
  /** The median is at least so long. */
  readonly lowMs: number;
  /** The median of its peers is at most so long. */
  readonly peerHighMs: number;
  /** How many of its calls that took so long came one after the other. */
  readonly turns: number;
}

/**
 * By endpoint, its slowness, or undefined where it is not slow. It is slow when it is too slow at the classes that most
 * of its comparable calls were of.
 */
export function findSlow(
  all: readonly Latencies[],
  { factor, minCalls }: LatencySettings,
  nowMs: number,
): readonly (Slowness | undefined)[] {
  const compared = compare(all, minCalls, nowMs);
  const few = lookAtFew(all, { factor, minCalls }, nowMs);
  return compared.map((classes, i) => {
    const isSlow = ({ medianMs, peerLatencyMs, lowMs, peerHighMs, turns }: Compared): boolean =>
      medianMs > peerLatencyMs * factor &&
      medianMs - peerLatencyMs >= MIN_EXCESS_MS &&
      lowMs > peerHighMs &&
      turns >= MIN_TURNS;
    const slow = classes.filter(isSlow);
    if (callsOf(slow) * 2 <= callsOf(classes)) return classes.length === 0 ? few[i] : undefined;
    return slow.reduce((worst, each) => (each.calls > worst.calls ? each : worst));
  });
}

/**
 * By endpoint, its median over that of its peers, in one number: the highest factor at which it is slow, differences below
 * MIN_EXCESS_MS aside. More than half of its comparable calls had this ratio or a higher one. Undefined: too few calls.
 */
export function ratiosToPeers(
  all: readonly Latencies[],
  minCalls: number,
  nowMs: number,
): readonly (number | undefined)[] {
  return compare(all, minCalls, nowMs).map((classes) => {
    let left = callsOf(classes) / 2;
    for (const each of classes.toSorted((a, b) => ratioOf(b) - ratioOf(a))) {
      left -= each.calls;
      if (left < 0) return ratioOf(each);
    }
    return undefined;
  });
}

/** Calls of one class at the endpoint `i`. */
interface Timed {
  readonly i: number;
  readonly times: ClassTimes;
  readonly calls: number;
  /** Of the least that they may have run, and of the most. */
  readonly medianMs: number;
  readonly mostMs: number;
}

function timed(times: ClassTimes | undefined, i: number): Timed | undefined {
  if (times === undefined || times.window.count === 0) return undefined;
  const { window, asPeer } = times;
  return { i, times, calls: window.count, medianMs: window.quantile(0.5), mostMs: asPeer.quantile(0.5) };
}

/** The median is at least the first and at most the second, chance aside, ms. */
function boundsOf({ times, calls }: Timed): readonly [lowMs: number, highMs: number] {
  const error = STANDARD_ERRORS / (2 * Math.sqrt(calls));
  const { window, asPeer } = times;
  return [window.quantile(Math.max(0, 0.5 - error)), asPeer.quantile(Math.min(1, 0.5 + error))];
}

/**
 * By endpoint, its slowness by the few calls that it has, where it has too few of all classes together; undefined: nothing shows that it is slow. Looks
 * at each call once.
 */
function lookAtFew(
  all: readonly Latencies[],
  { factor, minCalls }: LatencySettings,
  nowMs: number,
): readonly (Slowness | undefined)[] {
  const found: (Slowness | undefined)[] = all.map(() => undefined);
  const calls = all.map((latencies) => latencies.callsAt(nowMs));
  for (let callClass = 0; callClass < MAX_CALL_CLASSES; callClass += 1) {
    const row = all.map((latencies) => latencies.at(callClass, nowMs));
    const known = row.filter((each) => each !== undefined && each.window.count >= minCalls) as ClassTimes[];
    const peers = known.map(({ asPeer }) => asPeer);
    const medians = peers.map((peer) => peer.quantile(0.5)).sort((a, b) => a - b);
    const peerLatencyMs = medians[medians.length >> 1] ?? 0;
    const leastMs = Math.max(peerLatencyMs * factor, peerLatencyMs + MIN_EXCESS_MS);
    const bound = peers.length === 0 ? null : { peers, leastMs };
    row.forEach((times, i) => {
      if (times === undefined) return;
      const { few, window } = times;
      few.look(calls[i]! < minCalls ? bound : null);
      if (few.slow < FEW_CALLS || window.count === 0) return;
      const medianMs = window.quantile(0.5);
      found[i] = { calls: few.slow, medianMs, peerLatencyMs };
    });
  }
  return found;
}

/** By endpoint, the classes in which it and a peer have enough calls, and beside which it does no other work than these peers. */
function compare(all: readonly Latencies[], minCalls: number, nowMs: number): Compared[][] {
  const found: Compared[][] = all.map(() => []);
  const byClass = Array.from({ length: MAX_CALL_CLASSES }, (_, callClass) =>
    all.map((latencies, i) => timed(latencies.at(callClass, nowMs), i)),
  ).filter((row) => row.some((each) => each !== undefined));
  const mix = new WorkMix(byClass, all.length);
  byClass.forEach((row, callClass) => {
    const known = row.filter((each) => each !== undefined && each.calls >= minCalls) as Timed[];
    if (known.length < 2) return;
    const bounds = known.map(boundsOf);
    const medians = known.map(({ mostMs }) => mostMs).sort((a, b) => a - b);
    const highs = bounds.map(([, highMs]) => highMs).sort((a, b) => a - b);
    const beyond = mix.beyondPeers(
      callClass,
      known.map(({ i }) => i),
    );
    known.forEach(({ i, times, calls, medianMs, mostMs }, at) => {
      if (beyond(i, times.turns.recentFrom(medianMs, nowMs)) > MAX_OTHER_WORK) return;
      const [lowMs, highMs] = bounds[at]!;
      const peerLatencyMs = medianWithout(medians, medians.indexOf(mostMs));
      const peerHighMs = medianWithout(highs, highs.indexOf(highMs));
      const turns = times.turns.from(medianMs, nowMs);
      found[i]!.push({ calls, medianMs, peerLatencyMs, lowMs, peerHighMs, turns });
    });
  });
  return found;
}

function callsOf(classes: readonly Slowness[]): number {
  return classes.reduce((sum, { calls }) => sum + calls, 0);
}

function ratioOf({ medianMs, peerLatencyMs }: Slowness): number {
  return medianMs / Math.max(peerLatencyMs, 1 / PER_MS);
}

/** One sentence for logs and the admin page. */
export function describeSlowness(slowness: Slowness, minCalls = 0): string {
  const { medianMs, calls } = slowness;
  const times = ratioOf(slowness).toFixed(1);
  if (calls < minCalls)
    return `each of ${calls} calls in a row slower than its peers, ${medianMs.toFixed(1)} ms in the median, ${times} times that of these`;
  return `median latency ${medianMs.toFixed(1)} ms over ${calls} calls, ${times} times that of its peers`;
}

/** Median of ascending values without the one at `index`. */
function medianWithout(sorted: readonly number[], index: number): number {
  const at = (i: number): number => sorted[i < index ? i : i + 1]!;
  const count = sorted.length - 1;
  const middle = count >> 1;
  return count % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
}
