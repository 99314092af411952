/** A defect that is planted on purpose, to see whether the simulator finds it. */
export interface Mutant {
  readonly name: string;
  readonly area: string;
  /** From the root of the package. */
  readonly file: string;
  /** Text that stands in the file exactly once; one that does not apply any more fails the run. */
  readonly find: string;
  readonly replace: string;
  /** What goes wrong with it. */
  readonly harm: string;
}
