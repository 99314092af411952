import type { ArmRun, SkippedArm } from '../history/record.js';

/** Drills that no arm was run with, and why; each once. A drill in which some arms have nothing to break is none of them. */
export function notRun(
  skipped: readonly SkippedArm[],
  runs: readonly Pick<ArmRun, 'drill'>[],
): readonly Pick<SkippedArm, 'drill' | 'because'>[] {
  const run = new Set(runs.map(({ drill }) => drill));
  const left = new Map<string, string>();
  for (const { drill, because, isUntouched } of skipped)
    if (!run.has(drill) && isUntouched !== true && !left.has(drill)) left.set(drill, because);
  return [...left].map(([drill, because]) => ({ drill, because }));
}
