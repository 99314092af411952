/** The tables of faults in the README and in docs/CHAOS.md, from the stored figures of a run of `outrider chaos`. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ArmName } from '../sidecar/cli/chaos/history/record.js';
import { ARM_TITLES } from '../sidecar/cli/chaos/report/figures/arm-title.js';
import { type ArmFigures, badCalls } from '../sidecar/cli/chaos/report/figures/figures.js';
import { count, duration } from '../sidecar/cli/chaos/report/figures/format.js';
import type { Summary } from '../sidecar/cli/chaos/report/report.js';
import { markdownTable } from './markdown-table.js';

const BEGIN = '<!-- Made by `npm run generate` from docs/chaos/figures.json -->';
const END = '<!-- End of what is made -->';
/** Where the whole table stands. */
const WHOLE_PAGE = 'docs/CHAOS.md';
/** Rows and columns of the README: a few faults that tell setups apart, beside what most readers have today. */
const README_DRILLS = ['freeze', 'nan', 'poison', 'partition'];
const README_ARMS: readonly ArmName[] = ['pick-first', 'envoy', 'outrider'];

/** A page with a section that is made from the report. */
export interface SurvivalPage {
  /** Path from the package. */
  readonly name: string;
  /** The page with its section made anew. */
  write(page: string): string;
}

/**
 * The pages that show the report which lies in docs/chaos/; none where none does.
 *
 * @param root folder of the package.
 */
export function adoptedReport(root: string): readonly SurvivalPage[] {
  const dir = join(root, 'docs', 'chaos');
  const file = join(dir, 'figures.json');
  if (!existsSync(file)) return [];
  const summary: Summary = JSON.parse(readFileSync(file, 'utf8'));
  const pictures = readdirSync(dir).filter((name) => name.endsWith('.svg'));
  return [
    { name: 'README.md', write: (page) => withSurvivalTable(page, summary) },
    { name: WHOLE_PAGE, write: (page) => withWholeTable(page, summary, pictures.sort()) },
  ];
}

/** Writes the pages of the adopted report anew. */
export function writeSurvivalPages(root: string): void {
  for (const { name, write } of adoptedReport(root)) {
    const file = join(root, name);
    writeFileSync(file, write(readFileSync(file, 'utf8')));
  }
}

/**
 * The README with its table of a few drills: only how many calls were lost.
 *
 * @throws Error for a page that has no place for it.
 */
export function withSurvivalTable(page: string, summary: Summary): string {
  const { drills, figures } = summary;
  const rows = drills
    .filter(({ name }) => README_DRILLS.includes(name))
    .map(({ name, title }) => [
      escaped(title),
      ...README_ARMS.map((arm) => lost(figures.find((one) => one.drill === name && one.arm === arm))),
    ]);
  const head = ['Fault', ...README_ARMS.map((arm) => ARM_TITLES[arm])];
  return replaced(page, [markdownTable([head, ...rows]), '', `Printed by ${ranOn(summary)}.`]);
}

/**
 * The page with the table of all drills, and pictures.
 *
 * @param pictures file names in docs/chaos/.
 * @throws Error for a page that has no place for it.
 */
export function withWholeTable(page: string, summary: Summary, pictures: readonly string[]): string {
  const shown = pictures.flatMap((name) => ['', `![${pictureTitle(name)}](chaos/${name})`]);
  return replaced(page, [
    intro(summary),
    summary.verdict.sentence,
    '',
    table(summary, summary.drills),
    ...shown,
  ]);
}

function replaced(page: string, lines: readonly string[]): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`expected the lines ${BEGIN} and ${END} in the page`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${lines.join('\n')}\n\n${page.slice(end)}`;
}

const pictureTitle = (name: string): string =>
  `Timeline of ${name.replace(/\.svg$/, '').replace('.', ' with ')}`;

/** The command that measured, when and where. */
function ranOn({ about, figures }: Summary): string {
  const { command, startedAt, cores, versions } = about;
  const machine = `${cores} ${cores === 1 ? 'core' : 'cores'}, Node ${versions['node'] ?? '?'}`;
  const runs = Math.max(1, ...figures.map((one) => one.runs));
  return `\`${command}\` on ${startedAt.slice(0, 10)} (${machine}, ${runs === 1 ? 'one run' : `${runs} runs`} of each)`;
}

function intro(summary: Summary): string {
  const left =
    summary.skipped.length === 0
      ? ''
      : ' A dash means that the setup could not run or the fault does not apply.';
  return [
    'Each row breaks one thing while clients keep calling. A cell has the calls that failed, were wrong, or ran twice although',
    'they must not, of all calls; and the time from the fault to full recovery.',
    `Printed by ${ranOn(summary)}.${left}`,
  ].join('\n');
}

function table({ figures }: Summary, drills: Summary['drills']): string {
  const arms = [...new Set(figures.map(({ arm }) => arm))];
  const rows = drills.map(({ name, title }) => [
    title,
    ...arms.map((arm) => cell(figures.find((one) => one.drill === name && one.arm === arm))),
  ]);
  return markdownTable([
    ['Fault', ...arms.map((arm) => ARM_TITLES[arm])],
    ...rows.map((row) => row.map(escaped)),
  ]);
}

function cell(figures: ArmFigures | undefined): string {
  if (figures === undefined) return '–';
  const share = lost(figures);
  if (figures.recoveryMs === undefined) return share;
  const { median } = figures.recoveryMs;
  return `${share}, ${median === 'never' ? 'not recovered' : duration(median)}`;
}

/** Bad calls of all calls. */
function lost(figures: ArmFigures | undefined): string {
  if (figures === undefined) return '–';
  const bad = badCalls(figures);
  return `${bad === 0 ? '**0**' : count(bad)} of ${count(figures.counts.calls)}`;
}

function escaped(text: string): string {
  return text.replace(/[|\\<&]/g, (found) =>
    found === '<' ? '&lt;' : found === '&' ? '&amp;' : `\\${found}`,
  );
}
