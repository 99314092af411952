/** What the command prints of a report: a line for each drill, and the verdict at its end. */
import { type Palette, table } from '../../terminal.js';
import { ARM_TITLES } from './figures/arm-title.js';
import { NONE, UNTOUCHED } from './figures/columns.js';
import { type ArmFigures, badCalls } from './figures/figures.js';
import { count, duration, recoveryText } from './figures/format.js';
import { notRun } from './not-run.js';
import type { Summary } from './report.js';
import { WHAT_IS_KEPT } from './verdict/verdict.js';

/** What one arm lost in a drill, such as `3 failed, 2 wrong of 950, recovered in 1.5 s, p99 12 ms`. */
export function lossText({ counts, duplicated, recoveryMs, p99Ms }: ArmFigures): string {
  const losses = Object.entries({ failed: counts.failed, wrong: counts.wrong, duplicated });
  const lost = losses.filter(([, times]) => times > 0).map(([name, times]) => `${count(times)} ${name}`);
  const parts = [`${lost.length === 0 ? 'none lost' : lost.join(', ')} of ${count(counts.calls)}`];
  if (recoveryMs !== undefined) parts.push(recoveryText(recoveryMs.median));
  if (p99Ms !== undefined) parts.push(`p99 ${duration(p99Ms.median)}`);
  return parts.join(', ');
}

/**
 * A table of all drills and arms, what was not kept line by line, and the sentence of the verdict.
 *
 * @param palette colours of the terminal; the sentence is green or red.
 */
export function verdictText({ drills, figures, verdict, skipped }: Summary, palette: Palette): string {
  const arms = [...new Set(figures.map(({ arm }) => arm))];
  const rows = drills.map(({ name }) => [
    name,
    ...arms.map((arm) => {
      const found = figures.find((one) => one.drill === name && one.arm === arm);
      if (found === undefined)
        return skipped.some((one) => one.drill === name && one.arm === arm && one.isUntouched)
          ? UNTOUCHED
          : NONE;
      return `${count(badCalls(found))} / ${found.recoveryMs === undefined ? NONE : duration(found.recoveryMs.median)}`;
    }),
  ]);
  const broken = verdict.broken.map(
    ({ drill, invariant, times }) =>
      `${drill}: ${invariant} was broken ${count(times)} ${times === 1 ? 'time' : 'times'}`,
  );
  const worse = verdict.comparisons
    .filter(({ result }) => result === 'worse')
    .map(({ drill, other, by, because }) => `${drill}: worse than ${ARM_TITLES[other]} by ${by}: ${because}`);
  const left = notRun(skipped, figures).map(({ drill, because }) => `${drill}: not run: ${because}`);
  const paint = verdict.isKept ? palette.green : palette.red;
  return [
    'calls that failed, were wrong or ran twice / time to full recovery',
    table(['scenario', ...arms.map((arm) => ARM_TITLES[arm])], rows, palette),
    ...(rows.flat().includes(UNTOUCHED)
      ? [`${UNTOUCHED}: the setup has nothing that this scenario could break`]
      : []),
    ...left,
    ...broken,
    ...worse,
    paint(verdict.sentence),
    ...(verdict.broken.length === 0 && figures.some((each) => badCalls(each) > 0) ? [WHAT_IS_KEPT] : []),
  ].join('\n');
}
