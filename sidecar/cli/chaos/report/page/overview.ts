/** The table at the top of the page: a row for each drill, a column for each arm, and in each cell what arms are judged by. */
import type { ArmName, SkippedArm } from '../../history/record.js';
import { ARM_TITLES } from '../figures/arm-title.js';
import { NONE } from '../figures/columns.js';
import { type ArmFigures, badCalls } from '../figures/figures.js';
import { count, recoveryText } from '../figures/format.js';
import { html, type Markup, type Piece } from '../markup/escape.js';
import { notRun } from '../not-run.js';
import type { PageReport } from '../report.js';
import type { Comparison } from '../verdict/comparison.js';

/** What a comparison says of Outrider, in the cell of the other arm. */
const TAGS: Readonly<Record<Comparison['result'], { readonly text: string; readonly tone: string }>> = {
  better: { text: 'Outrider better', tone: 'tag-good' },
  level: { text: 'level', tone: '' },
  worse: { text: 'Outrider worse', tone: 'tag-bad' },
};

export function overview({ drills, arms, verdict, skipped }: PageReport): Markup {
  const head = arms.map((arm) => html`<th scope="col"${ownClass(arm)}>${ARM_TITLES[arm]}</th>`);
  const rows = drills.map(({ text, arms: reports }) => {
    const cells = arms.map((arm) => {
      const figures = reports.find((report) => report.arm === arm)?.figures;
      const comparison = verdict.comparisons.find(({ drill, other }) => drill === text.name && other === arm);
      const left = skipped.find((one) => one.drill === text.name && one.arm === arm);
      return html`<td${ownClass(arm)}>${figures === undefined ? leftOut(left) : cell(figures, comparison)}</td>`;
    });
    return html`<tr><th scope="row"><a href="#drill-${text.name}">${text.title}</a></th>${cells}</tr>\n`;
  });
  return html`<div class="scroll"><table class="overview">
<caption>Calls that failed, were wrong or ran twice without need, of all calls. Below: the time from the fault to full recovery${arms.length > 1 ? ', and how Outrider compares' : ''}.</caption>
<thead><tr><th scope="col">What goes wrong</th>${head}</tr></thead>
<tbody>${rows}</tbody></table></div>${notRunHere(skipped, drills)}`;
}

/** Drills that are no row of the table. */
function notRunHere(skipped: PageReport['skipped'], drills: PageReport['drills']): Piece {
  const left = notRun(
    skipped,
    drills.map(({ text }) => ({ drill: text.name })),
  );
  if (left.length === 0) return '';
  const list = left.map(({ drill, because }) => html`<li><code>${drill}</code>: ${because}</li>`);
  return html`<p class="quiet">Not run:</p><ul class="quiet">${list}</ul>`;
}

/** Why there is nothing, in a word, and in full where the pointer rests. */
function leftOut(left: SkippedArm | undefined): Piece {
  if (left === undefined) return NONE;
  return html`<small title="${left.because}">${left.isUntouched === true ? 'not concerned' : 'not run'}</small>`;
}

/** The column that the page is about stands out. */
function ownClass(arm: ArmName): Piece {
  return arm === 'outrider' ? html` class="own"` : '';
}

/** Bad calls, recovery, comparison and broken invariants, a line each. */
function cell(figures: ArmFigures, comparison: Comparison | undefined): Markup {
  const { recoveryMs, counts, violations } = figures;
  const broken = Object.values(violations).reduce((a, b) => a + b, 0);
  const recovery = recoveryMs === undefined ? '' : recoveryText(recoveryMs.median);
  const tag = comparison === undefined ? undefined : TAGS[comparison.result];
  return html`<b>${count(badCalls(figures))}</b> of ${count(counts.calls)}<small>${recovery}</small>${tag && html`<small class="${tag.tone}">${tag.text}</small>`}${
    broken > 0 ? html`<small class="tag-bad"><a href="#invariants">✗ ${count(broken)} broken</a></small>` : ''
  }`;
}
