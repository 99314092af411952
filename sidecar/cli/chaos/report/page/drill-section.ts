/** The section of one drill: what it does, a table of its figures, and a timeline for each arm. */
import { ARM_TITLES } from '../figures/arm-title.js';
import { COLUMNS } from '../figures/columns.js';
import { duration } from '../figures/format.js';
import { html, type Markup, type Piece } from '../markup/escape.js';
import type { PageArm, PageDrill, PageReport } from '../report.js';
import { scalesOf, timelineSvg } from '../timeline/timeline-svg.js';

/** Marks that a list shows; a crash loop has hundreds. */
const MOST_MARKS = 60;

const TONES = { better: 'tag-good', level: '', worse: 'tag-bad' } as const;

export function drillSection({ text, arms }: PageDrill, { verdict, skipped }: PageReport): Markup {
  const scales = scalesOf(arms.map(({ timeline }) => timeline));
  const pictures = arms.map(({ arm, figures, timeline }) => {
    const title = ARM_TITLES[arm];
    const which = figures.runs > 1 ? html` <small>worst of ${figures.runs} runs</small>` : '';
    return html`<div class="arm"><h3>${title}${which}</h3>${timelineSvg(timeline, scales, `${text.title}, ${title}`)}${marks({ arm, figures, timeline })}</div>\n`;
  });
  const compared = verdict.comparisons.filter(({ drill }) => drill === text.name);
  const judged = compared.map(
    ({ other, result, by, because }) =>
      html`<li>Beside ${ARM_TITLES[other]}: <b class="${TONES[result]}">${result}</b>${by === 'nothing' ? '' : ` by ${by}`}. ${because}.</li>`,
  );
  const left = skipped.filter(({ drill }) => drill === text.name);
  return html`<section class="drill" id="drill-${text.name}"><h2>${text.title} <small><code>${text.name}</code></small></h2>
<p>${text.does}</p>
<div class="arms">${pictures}</div>
<div class="below">${figureTable(arms)}${judged.length > 0 ? html`<div class="compared"><h3>How Outrider compares</h3><ul>${judged}</ul></div>` : ''}</div>
${left.map(({ arm, because, isUntouched }) => html`<p class="quiet">${isUntouched === true ? 'Not concerned' : 'Not run'}: ${ARM_TITLES[arm]}. ${because}.</p>`)}
</section>
`;
}

/** Arms as columns: there are few of them, and the table stays narrow. */
function figureTable(arms: readonly PageArm[]): Markup {
  const rows = COLUMNS.map(({ key, title, meaning, text, value }) => {
    const cells = arms.map(
      ({ figures }) => html`<td${value(figures) === 0 ? html` class="zero"` : ''}>${text(figures)}</td>`,
    );
    return html`<tr><th scope="row" title="${meaning}"><a href="#means-${key}">${title}</a></th>${cells}</tr>\n`;
  });
  const head = arms.map(({ arm }) => html`<th scope="col">${ARM_TITLES[arm]}</th>`);
  return html`<div class="scroll"><table class="figures"><thead><tr><th></th>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** The marks of a picture as a list, for readers that cannot point at its signs. */
function marks({ timeline }: PageArm): Piece {
  if (timeline.marks.length === 0) return '';
  const shown = timeline.marks.slice(0, MOST_MARKS);
  const more = timeline.marks.length - shown.length;
  const items = shown.map(
    ({ atMs, kind, replica, text }) =>
      html`<li>${duration(Math.max(0, atMs))} ${kind}${replica === undefined ? '' : ` ${replica}`}: ${text}</li>`,
  );
  const total = timeline.marks.length === 1 ? '1 mark' : `${timeline.marks.length} marks`;
  return html`<details><summary>${total}</summary><ul>${items}${more > 0 ? html`<li>and ${more} more</li>` : ''}</ul></details>`;
}
