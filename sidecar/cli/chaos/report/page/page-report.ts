import type { ArmName, DrillText, RunAbout, SkippedArm } from '../../history/record.js';
import type { Violation } from '../../history/violation.js';
import type { ArmFigures } from '../figures/figures.js';
import type { Timeline } from '../timeline/timeline.js';
import type { Verdict } from '../verdict/verdict.js';

/** What the page shows; `report.ts` makes it. */
export interface PageReport {
  readonly about: RunAbout;
  readonly skipped: readonly SkippedArm[];
  /** The arms that any drill was run with, Outrider first. */
  readonly arms: readonly ArmName[];
  readonly drills: readonly PageDrill[];
  readonly verdict: Verdict;
  /** The first few violations of each invariant in each drill and arm; the figures count all of them. */
  readonly examples: readonly Violation[];
}

/** One drill with its arms, in the order of the arms of the report. */
export interface PageDrill {
  readonly text: DrillText;
  readonly arms: readonly PageArm[];
}

/** One arm in one drill. */
export interface PageArm {
  readonly arm: ArmName;
  readonly figures: ArmFigures;
  /** Of its runs the one with the most bad calls, the first of several. */
  readonly timeline: Timeline;
}
