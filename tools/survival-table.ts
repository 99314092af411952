/** The README's section "What it survives", from the stored figures of a run of `outrider chaos`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARM_TITLES } from '../sidecar/cli/chaos/report/figures/arm-title.js';
import { type ArmFigures, badCalls } from '../sidecar/cli/chaos/report/figures/figures.js';
import { count, duration } from '../sidecar/cli/chaos/report/figures/format.js';
import type { Summary } from '../sidecar/cli/chaos/report/report.js';

const BEGIN = '<!-- Made by `npm run generate` from docs/chaos/figures.json -->';
const END = '<!-- End of what is made -->';
/** The section comes before this one, where the page does not have it yet. */
const NEXT_HEADING = '## How to\n';

/**
 * How the section is made from the report that lies in docs/chaos/; undefined where none does.
 *
 * @param root folder of the package.
 */
export function adoptedReport(root: string): ((page: string) => string) | undefined {
  const dir = join(root, 'docs', 'chaos');
  const file = join(dir, 'figures.json');
  if (!existsSync(file)) return undefined;
  const summary: Summary = JSON.parse(readFileSync(file, 'utf8'));
  const pictures = readdirSync(dir).filter((name) => name.endsWith('.svg'));
  return (page) => withSurvivalTable(page, summary, pictures.sort());
}

/**
 * The page with its section made anew; a page without one gets it.
 *
 * @param pictures file names in docs/chaos/ that the section shows.
 * @throws Error for a page that has no place for it.
 */
export function withSurvivalTable(page: string, summary: Summary, pictures: readonly string[]): string {
  const begin = page.indexOf(BEGIN);
  const content = `${BEGIN}\n\n${section(summary, pictures)}\n\n`;
  if (begin >= 0) {
    const end = page.indexOf(END, begin);
    if (end < 0) throw new Error(`README.md: the line ${END} is missing after ${BEGIN}`);
    return page.slice(0, begin) + content + page.slice(end);
  }
  const next = page.indexOf(NEXT_HEADING);
  if (next < 0) throw new Error(`README.md: there is no heading ${NEXT_HEADING.trim()} to stand before`);
  return `${page.slice(0, next)}## What it survives\n\n${content}${END}\n\n${page.slice(next)}`;
}

function section({ about, drills, figures, verdict, skipped }: Summary, pictures: readonly string[]): string {
  const arms = [...new Set(figures.map(({ arm }) => arm))];
  const rows = drills.map(({ name, title }) => [
    title,
    ...arms.map((arm) => cell(figures.find((one) => one.drill === name && one.arm === arm))),
  ]);
  const when = `\`${about.command}\` on ${about.startedAt.slice(0, 10)}, ${about.cores} ${about.cores === 1 ? 'core' : 'cores'}, Node ${about.versions['node'] ?? '?'}`;
  const left =
    skipped.length === 0
      ? ''
      : ` A dash is an arm that could not be run, or that has nothing which is broken here.`;
  return [
    'Each row breaks something while clients keep calling: calls that failed, were wrong or were executed twice although they must not be, of',
    `all calls, and the time from the fault to full recovery (${when}).${left}`,
    verdict.sentence,
    '',
    aligned([
      ['what goes wrong', ...arms.map((arm) => ARM_TITLES[arm])],
      ...rows.map((row) => row.map(escaped)),
    ]),
    ...pictures.flatMap((name) => [
      '',
      `![Timeline of ${name.replace(/\.svg$/, '').replace('.', ' with ')}](docs/chaos/${name})`,
    ]),
  ].join('\n');
}

function cell(figures: ArmFigures | undefined): string {
  if (figures === undefined) return '–';
  const bad = badCalls(figures);
  const share = `${bad === 0 ? '**0**' : count(bad)} of ${count(figures.counts.calls)}`;
  if (figures.recoveryMs === undefined) return share;
  const { median } = figures.recoveryMs;
  return `${share}, ${median === 'never' ? 'not recovered' : duration(median)}`;
}

function escaped(text: string): string {
  return text.replace(/[|\\<&]/g, (found) =>
    found === '<' ? '&lt;' : found === '&' ? '&amp;' : `\\${found}`,
  );
}

function aligned(cells: readonly (readonly string[])[]): string {
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const lines = cells.map((row) => row.map((text, column) => text.padEnd(widths[column]!)).join(' | '));
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join(' | '));
  return lines.map((line) => `| ${line} |`).join('\n');
}
