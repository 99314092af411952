import { fold, type Palette } from '../terminal.js';
import type { Finding, Level } from './finding.js';

/** Columns of a terminal below which sentences are not folded under their own begin. */
const NARROW = 72;

/** The findings as lines, in the order found, with the next step below each that is not ok, and a last line of counts. */
export function checkText(findings: readonly Finding[], palette: Palette): string {
  const paint: Record<Level, (text: string) => string> = {
    ok: palette.green,
    warning: palette.yellow,
    failed: palette.red,
  };
  const width = Math.max(...findings.map(({ area }) => area.length));
  // Under the sentence; on a terminal that leaves no room for that, a little to the right.
  const indent = (palette.width ?? NARROW) < NARROW ? 4 : width + 11;
  const lines = findings.flatMap(({ level, area, what, next }) => [
    fold(
      `${paint[level](level.padEnd('warning'.length))}  ${area.padEnd(width)}  ${what}`,
      palette.width,
      indent,
    ),
    ...(next === undefined ? [] : [fold(`${' '.repeat(indent)}→ ${next}`, palette.width, 2)]),
  ]);
  return [...lines, '', countsText(findings)].join('\n');
}

/** The last line, by which a glance is enough: `12 ok, 1 warning, 0 failed`. */
function countsText(findings: readonly Finding[]): string {
  const count = (level: Level): number => findings.filter((each) => each.level === level).length;
  const warnings = count('warning');
  return `${count('ok')} ok, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${count('failed')} failed`;
}
