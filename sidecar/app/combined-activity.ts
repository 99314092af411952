import type { ActivityReport } from '../inbound/model-activity.js';

/**
 * The activity of one process that serves several models: counts are sums, times are the latest,
 * the oldest start is the earliest (0: nothing runs), and the usual run time is the longest.
 */
export function combineActivity(all: readonly ActivityReport[]): ActivityReport {
  const [first, ...others] = all;
  return others.reduce(
    (a, b) => ({
      inFlight: a.inFlight + b.inFlight,
      abandoned: a.abandoned + b.abandoned,
      settled: a.settled + b.settled,
      lastDeadlineMs: Math.max(a.lastDeadlineMs, b.lastDeadlineMs),
      lastAnswerMs: Math.max(a.lastAnswerMs, b.lastAnswerMs),
      completed: a.completed + b.completed,
      succeeded: a.succeeded + b.succeeded,
      lastCompletionMs: Math.max(a.lastCompletionMs, b.lastCompletionMs),
      oldestStartMs:
        a.oldestStartMs === 0 || b.oldestStartMs === 0
          ? a.oldestStartMs + b.oldestStartMs
          : Math.min(a.oldestStartMs, b.oldestStartMs),
      usualMs: Math.max(a.usualMs, b.usualMs),
      answers: {
        lastByteMs: Math.max(a.answers.lastByteMs, b.answers.lastByteMs),
        isAwaited: a.answers.isAwaited || b.answers.isAwaited,
        isUnusual: a.answers.isUnusual || b.answers.isUnusual,
      },
    }),
    first!,
  );
}
