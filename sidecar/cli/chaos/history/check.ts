/**
 * The checker of a run's history: which calls broke which invariant. Pure; it reads the records of one run and nothing else.
 *
 * Jepsen's checkers are the model: the history says what each client and each model saw, and is judged afterwards.
 */
import { findNotAnsweredOnce, findUnmarked, findWrongCaller } from './answers.js';
import { type CheckBounds, DEFAULT_BOUNDS } from './bounds.js';
import { findLate } from './deadlines.js';
import { findSentToEjected } from './ejections.js';
import { findExecutedTwice, indexRun } from './executions.js';
import { findHarm } from './harm.js';
import type { ArmRun } from './record.js';
import { findUnsound } from './soundness.js';
import { INVARIANTS, type Invariant, type Violation, violationsOf } from './violation.js';

/** Every violation of a run, invariant by invariant, calls in the order of the record. */
export function checkRun(run: ArmRun, bounds: CheckBounds = DEFAULT_BOUNDS): readonly Violation[] {
  const index = indexRun(run);
  return [
    violationsOf(run, 'answered-once', findNotAnsweredOnce(run.calls)),
    violationsOf(run, 'executed-once', findExecutedTwice(run, index)),
    violationsOf(run, 'right-caller', findWrongCaller(run, index)),
    violationsOf(run, 'deadline-kept', findLate(run, bounds)),
    violationsOf(run, 'degraded-marked', findUnmarked(run, index)),
    violationsOf(run, 'ejected-left-alone', findSentToEjected(run, index, bounds)),
    violationsOf(run, 'well-left-alone', findHarm(run)),
    violationsOf(run, 'history-sound', findUnsound(run, index, bounds)),
  ].flat();
}

/** Invariants that cannot be judged of this run, as its models log no executions; empty where they do. */
export function uncheckedIn({ hasNoExecutions }: Pick<ArmRun, 'hasNoExecutions'>): readonly Invariant[] {
  return hasNoExecutions === true ? ['executed-once', 'degraded-marked', 'ejected-left-alone'] : [];
}

/** How often each invariant was broken, in the order of `INVARIANTS`, zeros included. */
export function countByInvariant(violations: readonly Violation[]): Readonly<Record<Invariant, number>> {
  const counts = Object.fromEntries(Object.keys(INVARIANTS).map((name) => [name, 0])) as Record<
    Invariant,
    number
  >;
  for (const { invariant } of violations) counts[invariant] += 1;
  return counts;
}
