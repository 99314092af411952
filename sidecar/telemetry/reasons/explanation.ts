/**
 * What there is to say of a reason that stands in a trailer, a log line or a metric, for operators. Texts are plain
 * sentences; `…` in code type is a command or the name of a metric.
 */
export interface Explanation {
  /** What the sidecar saw, and what it did with the call. */
  readonly meaning: string;
  /** From the most to the least likely. */
  readonly causes: readonly string[];
  /** Commands, metrics and files that show which cause it is. */
  readonly look: readonly string[];
  readonly remedy: readonly string[];
  /** Options that have to do with it, as REFERENCE.md has them: the end of their path. */
  readonly options: readonly string[];
}

/** The texts of some reasons, by their names; the compiler takes them together (explanations.ts). */
export type ExplanationsOf<Name extends string> = { readonly [Each in Name]: Explanation };
