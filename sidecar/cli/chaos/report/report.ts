/** Everything that is computed from a history, once, for the page, the files, the terminal and the README. */

import { checkRun } from '../history/check.js';
import {
  ARM_NAMES,
  type ArmName,
  type ArmRun,
  type ChaosHistory,
  type DrillText,
  type RunAbout,
  type SkippedArm,
} from '../history/record.js';
import type { Violation } from '../history/violation.js';
import { type ArmFigures, figuresOf } from './figures/figures.js';
import { type Timeline, timelineOf } from './timeline/timeline.js';
import { judge, type Verdict } from './verdict/verdict.js';

/** What `figures.json` holds: the report without records of calls and without pictures. */
export interface Summary extends Pick<ChaosHistory, 'about' | 'skipped' | 'drills'> {
  readonly format: 1;
  readonly verdict: Verdict;
  readonly figures: readonly ArmFigures[];
  readonly examples: readonly Violation[];
}

/** Examples of one invariant, drill and arm. */
const MOST_EXAMPLES = 3;

/** Computes a report. Drills without a run are left out; those without a text get their name as title. */
export function buildReport(history: ChaosHistory): PageReport {
  const { about, skipped, runs } = history;
  const figures = figuresOf(runs);
  const arms = ARM_NAMES.filter((arm) => figures.some((one) => one.arm === arm));
  const drills = textsOf(history).map((text) => ({
    text,
    arms: arms.flatMap((arm) => {
      const found = figures.find((one) => one.drill === text.name && one.arm === arm);
      if (found === undefined) return [];
      return [{ arm, figures: found, timeline: timelineOf(worstRun(runs, found)) }];
    }),
  }));
  const examples = runs.flatMap((run) => firstOfEach(checkRun(run)));
  return { about, skipped, drills, arms, verdict: judge(figures), examples: firstOfEach(examples) };
}

/** What is kept of a report without the history. */
export function summaryOf({ about, skipped, drills, verdict, examples }: PageReport): Summary {
  const figures = drills.flatMap(({ arms }) => arms.map((arm) => arm.figures));
  return { format: 1, about, drills: drills.map(({ text }) => text), skipped, verdict, figures, examples };
}

/** Texts of the drills that were run, in the order of the history. */
function textsOf({ drills, runs }: ChaosHistory): readonly DrillText[] {
  const known = new Map(drills.map((text) => [text.name, text]));
  const run = new Set(runs.map(({ drill }) => drill));
  const unknown = [...run]
    .filter((name) => !known.has(name))
    .map((name) => ({ name, title: name, does: '' }));
  return [...drills.filter(({ name }) => run.has(name)), ...unknown];
}

/** The run with the most bad calls, as its share; the first of several. */
function worstRun(runs: readonly ArmRun[], { drill, arm, badShares }: ArmFigures): ArmRun {
  const own = runs.filter((run) => run.drill === drill && run.arm === arm);
  return own[badShares.indexOf(Math.max(...badShares))]!;
}

/** The first few of each invariant, drill and arm. */
function firstOfEach(violations: readonly Violation[]): readonly Violation[] {
  const counts = new Map<string, number>();
  return violations.filter(({ invariant, drill, arm }) => {
    const key = `${invariant} ${drill} ${arm}`;
    const before = counts.get(key) ?? 0;
    counts.set(key, before + 1);
    return before < MOST_EXAMPLES;
  });
}

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

export interface PageArm {
  readonly arm: ArmName;
  readonly figures: ArmFigures;
  /** Of its runs the one with the most bad calls, the first of several. */
  readonly timeline: Timeline;
}
