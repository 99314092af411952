import type { Feature } from '../plan/features.js';

/** One text of one file that is replaced. */
export type Edit = Pick<Mutant, 'file' | 'find' | 'replace'>;

/** A defect that is planted on purpose, to see whether the simulator finds it. */
export interface Mutant {
  readonly name: string;
  readonly area: string;
  /** From the root of the package. */
  readonly file: string;
  /** Text that stands in the file exactly once; one that does not apply any more fails the run. */
  readonly find: string;
  readonly replace: string;
  /** More places of the same defect. */
  readonly also?: readonly Edit[];
  /** What goes wrong with it. */
  readonly harm: string;
  /** The changed code does nothing else than before where one of these is missing: such seeds are passed over, and counted as if they had been run. */
  readonly needs?: readonly Feature[];
}

/** All places that it changes. */
export function editsOf(mutant: Mutant): readonly Edit[] {
  return [mutant, ...(mutant.also ?? [])];
}
