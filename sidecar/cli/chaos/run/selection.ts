/** Which drills are run with an arm, and in which order. Pure. */

import type { Arm, ArmWorld } from '../arms/arm.js';
import type { Drill } from '../drills/drill.js';

/** The drills of one start of an arm. */
interface Part {
  readonly path: ArmWorld['path'];
  /** At least one; one that is repeated stands there several times. */
  readonly drills: readonly Drill[];
}

/** What is run with an arm, part after part, and what cannot be. */
export interface Selection {
  readonly parts: readonly Part[];
  readonly missing: readonly { readonly drill: string; readonly because: string }[];
}

/**
 * First the drills that need no wires; within a part all of them come before any is repeated, so that what disturbs the machine for a
 * while falls on one run of each and not on all runs of one.
 *
 * @param repeats how often each is run.
 */
export function selectDrills(
  drills: readonly Drill[],
  { hasProxies }: Pick<Arm, 'hasProxies'>,
  repeats: number,
): Selection {
  const isMissing = ({ needs }: Drill): boolean => needs === 'proxies' && !hasProxies;
  const parts = (['direct', 'wired'] as const).flatMap((path) => {
    const once = drills.filter((drill) => (drill.path ?? 'direct') === path && !isMissing(drill));
    return once.length === 0 ? [] : [{ path, drills: Array.from({ length: repeats }, () => once).flat() }];
  });
  const because = 'there is no proxy that could be restarted';
  return { parts, missing: drills.filter(isMissing).map(({ name }) => ({ drill: name, because })) };
}
