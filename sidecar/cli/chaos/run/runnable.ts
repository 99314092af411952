/** Sorts out, before anything is started, what cannot be run on this machine; nothing of that is a failure. */

import type { Arm } from '../arms/arm.js';
import type { Drill } from '../drills/drill.js';
import type { SkippedArm } from '../history/record.js';

/** What is run, and what is not. */
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
