import { CallStats } from '../../telemetry/call-stats.js';

/**
 * Why a call was not copied. `crashed`: a model process ended while it ran there, or would again. `refused`: no endpoint of its own upstream worked
 * on it.
 */
const SKIP_REASONS = [
  ...(['busy', 'not-held', 'too-large', 'memory', 'cancelled', 'no-route'] as const),
  ...(['crashed', 'refused'] as const),
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** Why two responses were not compared. */
const NOT_COMPARED = ['busy', 'memory', 'too-large', 'encoded', 'unreadable', 'degraded'] as const;
export type NotCompared = (typeof NOT_COMPARED)[number];

/** What two responses differ in. */
const MISMATCHES = ['status', 'unreadable', 'shape', 'values'] as const;
export type Mismatch = (typeof MISMATCHES)[number];

/** Upper bounds of the buckets of how much longer a copy took, ms; one more bucket takes the rest. */
export const DIFFERENCE_BOUNDS_MS: readonly number[] = [
  -1000, -250, -100, -25, -10, -2.5, -1, 0, 1, 2.5, 10, 25, 100, 250, 1000,
];

/** What is counted of the copies that go from one upstream to another, and of the comparison of their responses. */
export class MirrorStats {
  sent = 0;
  /** Copies under way. */
  inFlight = 0;
  compared = 0;
  readonly skipped: Record<SkipReason, number> = zeros(SKIP_REASONS);
  readonly notCompared: Record<NotCompared, number> = zeros(NOT_COMPARED);
  readonly mismatched: Record<Mismatch, number> = zeros(MISMATCHES);
  /** Pairs of answers with a largest class, by whether it is the same. */
  readonly argmax = { same: 0, other: 0 };
  readonly differences = new Float64Array(DIFFERENCE_BOUNDS_MS.length + 1);
  differenceSumMs = 0;
  /** The last disagreement in one sentence, and when; empty: there was none. */
  last = '';
  lastMs = 0;
  /** Statistics of the copies as calls, kept apart from the application's. */
  readonly calls: CallStats;

  constructor(
    readonly from: string,
    readonly to: string,
  ) {
    this.calls = new CallStats('outbound', to, 'mirror');
  }

  skip(why: SkipReason): void {
    this.skipped[why]++;
  }

  skipComparison(why: NotCompared): void {
    this.notCompared[why]++;
  }

  agree(): void {
    this.compared++;
  }

  disagree(about: Mismatch, why: string, nowMs: number): void {
    this.compared++;
    this.mismatched[about]++;
    this.last = why;
    this.lastMs = nowMs;
  }

  /** @param differenceMs how much longer the copy took than its call; negative: it was faster. */
  took(differenceMs: number): void {
    this.differenceSumMs += differenceMs;
    let i = 0;
    while (i < DIFFERENCE_BOUNDS_MS.length && differenceMs > DIFFERENCE_BOUNDS_MS[i]!) i++;
    this.differences[i]!++;
  }
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
