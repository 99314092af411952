/**
 * The checker of a history: which calls broke which invariant. Pure; it reads the records of one history and nothing else.
 *
 * Jepsen's checkers are the model: the history says what each client and each model saw, and is judged afterwards.
 */
import { findNotAnsweredOnce, findUnmarked, findWrongCaller } from './answers.js';
import { type CheckBounds, DEFAULT_BOUNDS } from './bounds.js';
import { findLate } from './deadlines.js';
import { findSentToEjected } from './ejections.js';
import { findExecutedTwice, indexRun } from './executions.js';
import { findHarm } from './harm.js';
import type { ArmRun, History } from './record.js';
import { findUnsound } from './soundness.js';
import { type Broken, type Finding, INVARIANTS, type Invariant, type Violation } from './violation.js';

/** Every broken invariant of a history, in their order, calls in the order of the record. */
export function findBroken(history: History, bounds: CheckBounds = DEFAULT_BOUNDS): readonly Broken[] {
  const index = indexRun(history);
  const found: Readonly<Record<Invariant, readonly Finding[]>> = {
    'answered-once': findNotAnsweredOnce(history.calls),
    'executed-once': findExecutedTwice(history, index),
    'right-caller': findWrongCaller(history, index),
    'deadline-kept': findLate(history, bounds),
    'degraded-marked': findUnmarked(history, index),
    'ejected-left-alone': findSentToEjected(history, index, bounds),
    'well-left-alone': findHarm(history),
    'history-sound': findUnsound(history, index, bounds),
  };
  return (Object.keys(INVARIANTS) as Invariant[]).flatMap((invariant) =>
    found[invariant].map((finding) => ({ invariant, ...finding })),
  );
}

/** Every violation of a run. */
export function checkRun(run: ArmRun): readonly Violation[] {
  const { drill, arm } = run;
  return findBroken(run).map((broken) => ({ drill, arm, ...broken }));
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
