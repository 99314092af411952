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
}

/** All places that it changes. */
export function editsOf(mutant: Mutant): readonly Edit[] {
  return [mutant, ...(mutant.also ?? [])];
}
