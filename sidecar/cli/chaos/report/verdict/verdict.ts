/** The verdict of a whole command: whether Outrider kept what it promises, in one sentence and in detail. */

import type { Invariant } from '../../history/violation.js';
import { ARM_TITLES } from '../figures/arm-title.js';
import { type ArmFigures, badCalls } from '../figures/figures.js';
import { count } from '../figures/format.js';
import { type Comparison, compare } from './comparison.js';

/** An invariant that calls through Outrider broke in a drill. */
export interface BrokenInvariant {
  readonly drill: string;
  readonly invariant: Invariant;
  readonly times: number;
}

/** What `outrider chaos` ends with; exit code 1 where it is not kept. */
export interface Verdict {
  /** No drill was stopped, no invariant was broken with Outrider, and it is at least as good as each other arm in each drill. */
  readonly isKept: boolean;
  /** For a reader that has seen nothing else. */
  readonly sentence: string;
  readonly comparisons: readonly Comparison[];
  readonly broken: readonly BrokenInvariant[];
}

/** Judges the figures. Without Outrider among them nothing is promised, and the sentence says so. */
export function judge(figures: readonly ArmFigures[]): Verdict {
  const own = figures.filter(({ arm }) => arm === 'outrider');
  const comparisons = own.flatMap((outrider) =>
    figures
      .filter(({ drill, arm }) => drill === outrider.drill && arm !== 'outrider')
      .map((other) => compare(outrider, other)),
  );
  const broken = own.flatMap(({ drill, violations }) =>
    Object.entries(violations)
      .filter(([, times]) => times > 0)
      .map(([invariant, times]) => ({ drill, invariant: invariant as Invariant, times })),
  );
  const worse = comparisons.filter(({ result }) => result === 'worse');
  const stopped = own.filter((figures) => figures.stopped !== undefined).map(({ drill }) => drill);
  const isKept = broken.length === 0 && worse.length === 0 && stopped.length === 0;
  const parts = { isEmpty: figures.length === 0, own, comparisons, broken, worse, stopped };
  return { isKept, sentence: sentenceOf(parts), comparisons, broken };
}

/** What the sentence is made of. */
interface Parts {
  readonly isEmpty: boolean;
  readonly own: readonly ArmFigures[];
  readonly comparisons: readonly Comparison[];
  readonly broken: readonly BrokenInvariant[];
  readonly worse: readonly Comparison[];
  /** Drills that were stopped before their time. */
  readonly stopped: readonly string[];
}

/** First what was lost. Good news then names the arms; bad news says what and where. */
function sentenceOf({ isEmpty, own, comparisons, broken, worse, stopped }: Parts): string {
  if (isEmpty) return 'No scenario was run, so there is no verdict.';
  if (own.length === 0) return 'Outrider was not among the setups, so there is no verdict.';
  const drills = own.length === 1 ? 'one scenario' : `${own.length} scenarios`;
  const calls = own.reduce((sum, { counts }) => sum + counts.calls, 0);
  const beside = besideText(comparisons);
  const checked = own.some(({ unchecked = [] }) => unchecked.length > 0)
    ? 'broke an invariant that can be judged without a log of the models'
    : 'broke an invariant';
  const lost = own.reduce((sum, figures) => sum + badCalls(figures), 0);
  if (broken.length === 0 && worse.length === 0 && stopped.length === 0)
    return `In ${drills}, ${count(lost)} of ${count(calls)} calls through Outrider failed, were wrong or ran twice. No call ${checked}.${beside === '' ? '' : ` Outrider did at least as well as ${beside}.`}`;
  const faults: string[] = [];
  if (stopped.length > 0)
    faults.push(
      `too few calls were answered in ${listed(stopped.map((drill) => `“${drill}”`))}, so it was stopped`,
    );
  if (broken.length > 0) {
    const times = broken.reduce((sum, broke) => sum + broke.times, 0);
    faults.push(
      `invariants were broken ${count(times)} ${times === 1 ? 'time' : 'times'} (${listed(broken.map(({ drill, invariant }) => `${invariant} in “${drill}”`))})`,
    );
  }
  if (worse.length > 0)
    faults.push(
      `Outrider did worse than ${listed(worse.map(({ drill, other }) => `${ARM_TITLES[other]} in “${drill}”`))}`,
    );
  return `Failed: ${faults.join(', and ')}. In ${drills}, ${count(lost)} of ${count(calls)} calls through Outrider failed, were wrong or ran twice.`;
}

/** The other arms by name, with the count of comparisons that Outrider won; empty without any. */
function besideText(comparisons: readonly Comparison[]): string {
  const others = [...new Set(comparisons.map(({ other }) => ARM_TITLES[other]))];
  if (others.length === 0) return '';
  const better = comparisons.filter(({ result }) => result === 'better').length;
  return `${listed(others)} (better in ${better} of ${comparisons.length} comparisons, level in the others)`;
}

/** Up to four, and how many more. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 4);
  const more = names.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} more`;
  const last = shown.at(-1) ?? '';
  return shown.length < 2 ? last : `${shown.slice(0, -1).join(', ')} and ${last}`;
}

/** Beside a verdict that everything was kept, for a reader who sees below it that calls have failed. */
export const WHAT_IS_KEPT =
  'An invariant is a rule that no call may break: it gets one response, by its deadline, for the right caller, and runs twice only if that is safe. An error in time breaks no invariant; the table counts it as failed.';
