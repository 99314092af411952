/** Which drills are run with which arm, and in which order: sorted out before anything is started. What cannot be run is no failure. */

import type { Arm, ArmWorld } from '../arms/arm.js';
import type { Drill } from '../drills/drill.js';
import type { SkippedArm } from '../history/record.js';

export interface Runnable {
  readonly arms: readonly Arm[];
  readonly drills: readonly Drill[];
  readonly skipped: readonly SkippedArm[];
}

/**
 * The arms and drills that can be run here, in their order.
 *
 * @param say gets a line for each of the others, such as `without drill disk-full: only root may do that`.
 */
export async function runnableOf(
  { arms, drills }: Pick<Runnable, 'arms' | 'drills'>,
  say: (line: string) => void,
): Promise<Runnable> {
  const skipped: SkippedArm[] = [];
  const here: Drill[] = [];
  for (const drill of drills) {
    const because = await drill.missing?.();
    if (because === undefined) here.push(drill);
    else {
      say(`without drill ${drill.name}: ${because}`);
      for (const arm of arms) skipped.push({ drill: drill.name, arm: arm.name, because });
    }
  }
  const present: Arm[] = [];
  for (const arm of arms) {
    const because = await arm.missing();
    if (because === undefined) present.push(arm);
    else {
      say(`without ${arm.name}: ${because}`);
      for (const drill of here) skipped.push({ drill: drill.name, arm: arm.name, because });
    }
  }
  return { arms: present, drills: here, skipped };
}

/** The drills of one start of an arm. */
interface Part {
  readonly path: ArmWorld['path'];
  readonly equipment: ArmWorld['equipment'];
  /** At least one; one that is repeated stands there several times. */
  readonly drills: readonly Drill[];
}

/** What is run with an arm, part after part, and what has nothing to break there. */
export interface Selection {
  readonly parts: readonly Part[];
  readonly untouched: readonly { readonly drill: string; readonly because: string }[];
}

/**
 * Drills that need the same of a mesh are one part, those without wires first; within a part all of them come before any is
 * repeated, so that what disturbs the machine for a while falls on one run of each and not on all runs of one.
 *
 * @param repeats how often each is run.
 */
export function selectDrills(
  drills: readonly Drill[],
  { name, hasProxies }: Pick<Arm, 'name' | 'hasProxies'>,
  repeats: number,
): Selection {
  const why = ({ needs, untouched }: Drill): string | undefined =>
    needs === 'proxies' && !hasProxies ? 'there is no proxy that could be restarted' : untouched?.[name];
  const groups = new Map<string, Omit<Part, 'drills'> & { readonly once: Drill[] }>();
  for (const drill of drills.filter((each) => why(each) === undefined)) {
    const { path = 'direct', equipment = 'none' } = drill;
    const key = `${path} ${equipment}`;
    const group = groups.get(key) ?? { path, equipment, once: [] };
    group.once.push(drill);
    groups.set(key, group);
  }
  const inOrder = [...groups.values()].sort(
    (a, b) => Number(a.path === 'wired') - Number(b.path === 'wired'),
  );
  const parts = inOrder.map(({ once, ...kind }) => ({
    ...kind,
    drills: Array.from({ length: repeats }, () => once).flat(),
  }));
  const untouched = drills.flatMap((drill) => {
    const because = why(drill);
    return because === undefined ? [] : [{ drill: drill.name, because }];
  });
  return { parts, untouched };
}
