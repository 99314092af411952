import type { ArmName, ArmRun, SkippedArm } from '../history/record.js';

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

interface Plan {
  readonly arms: readonly { readonly name: ArmName }[];
  readonly drills: readonly { readonly name: string }[];
}

/** What a run that ended early has neither run nor left out for a reason of its own. */
export function notReached(
  { arms, drills }: Plan,
  {
    runs,
    skipped,
  }: { readonly runs: readonly Pick<ArmRun, 'drill' | 'arm'>[]; readonly skipped: readonly SkippedArm[] },
  because: string,
): readonly SkippedArm[] {
  const done = new Set([...runs, ...skipped].map(({ drill, arm }) => `${drill} ${arm}`));
  const all = drills.flatMap((drill) => arms.map((arm) => ({ drill: drill.name, arm: arm.name, because })));
  return all.filter(({ drill, arm }) => !done.has(`${drill} ${arm}`));
}
