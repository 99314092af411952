/**
 * The page of a report: one HTML document that loads nothing, for a reader that has never seen the project. Every text of the history is
 * escaped where it is written.
 */
import { INVARIANTS, type Invariant } from '../../history/violation.js';
import { ARM_MEANINGS, ARM_TITLES } from '../figures/arm-title.js';
import { COLUMNS, isUnchecked } from '../figures/columns.js';
import { CALL_ENDS } from '../figures/counts.js';
import { count, duration } from '../figures/format.js';
import { html, Markup, type Piece } from '../markup/escape.js';
import type { PageReport } from '../report.js';
import { MARK_SIGNS } from '../timeline/timeline-svg.js';
import { COMPARISON_RULE } from '../verdict/comparison.js';
import { WHAT_IS_KEPT } from '../verdict/verdict.js';
import { drillSection } from './drill-section.js';
import { overview } from './overview.js';
import { PAGE_STYLE } from './style.js';

const TITLE = 'Outrider: what it survives';

/** The policy is for the case that an escape is missing: no script runs and nothing is loaded. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

export function renderPage(report: PageReport): string {
  const { verdict, drills } = report;
  const sections = drills.map((drill) => drillSection(drill, report));
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${TITLE}</title><style>${new Markup(PAGE_STYLE)}</style></head>
<body><main>
<h1>${TITLE}</h1>
<p class="verdict${verdict.isKept ? '' : ' bad'}"><b>${verdict.isKept ? '✓' : '✗'}</b> ${verdict.sentence}</p>
<p class="quiet">${WHAT_IS_KEPT} <a href="#invariants">All invariants</a></p>
${introduction(report)}
${overview(report)}
${background(report)}
<h2>The scenarios</h2>
${legend()}
${sections}
${invariants(report)}
${allFigures(report)}
${definitions()}
</main></body></html>
`;
  return page.text;
}

/** What a reader has to know before the table, and what was run. */
function introduction({ about, drills }: PageReport): Markup {
  const what = isForeign(drills)
    ? 'a running mesh is broken on purpose while a client calls it with the golden input of a model. Every call is recorded and judged afterwards.'
    : 'something breaks on purpose while clients keep calling replicas of a model, once through each setup. Every call and every execution in a model is recorded and judged afterwards.';
  return html`<p>Outrider is a service mesh for machine-learning models. A small process beside each model and each client, the sidecar,
carries their calls. In ${drills.length === 1 ? 'the scenario' : `each of the ${drills.length} scenarios`} below, ${what}</p>
<p class="quiet"><code>${about.command}</code> on ${about.startedAt.slice(0, 10)}, ${about.cores} ${about.cores === 1 ? 'core' : 'cores'}, ${versionsOf(about).slice(0, 4).join(', ')}</p>`;
}

/** Whether it is a report about a running mesh, whose models log nothing. */
function isForeign(drills: PageReport['drills']): boolean {
  return drills.some(({ arms }) => arms.some(({ figures }) => isUnchecked(figures, 'executed-once')));
}

/** The ways that are compared, and the whole of what was run. */
function background({ about, arms }: PageReport): Markup {
  const what = arms.map(
    (arm) => html`<dt>${ARM_TITLES[arm]}</dt><dd>${ARM_MEANINGS[arm]} <small>${about.arms[arm]}</small></dd>`,
  );
  return html`<h2>${arms.length > 1 ? 'What is compared' : 'What was called'}</h2>
<dl>${what}</dl>
<details><summary>When and where it ran</summary>
<dl><dt>start</dt><dd>${about.startedAt}</dd><dt>duration</dt><dd>${duration(about.seconds * 1_000)}</dd><dt>machine</dt><dd>${about.processor}, ${about.cores} ${about.cores === 1 ? 'core' : 'cores'}, ${about.system}</dd>
<dt>versions</dt><dd>${versionsOf(about).join(', ')}</dd></dl></details>`;
}

function versionsOf({ versions }: PageReport['about']): readonly string[] {
  return Object.entries(versions).map(([name, version]) => `${name} ${version}`);
}

/** How pictures are read, once for all of them. */
function legend(): Markup {
  const ends = CALL_ENDS.map((end) => html`<li><i style="background: var(--${end})"></i>${end}</li>`);
  const signs = Object.values(MARK_SIGNS).map(({ sign, meaning }) => html`<li>${sign} ${meaning}</li>`);
  return html`<p>Each picture is one run from left to right. The fault is shaded. The upper part counts the calls of each interval by how they
ended. The lower part is the latency of the answered ones, on a logarithmic scale. All pictures of a scenario have the same scales.</p>
<ul class="legend">${ends}<li><i style="background: var(--fault)"></i>the fault</li>${signs}</ul>`;
}

/** How often each arm broke each invariant, and examples. */
function invariants({ drills, arms, examples }: PageReport): Markup {
  const rows = Object.entries(INVARIANTS).map(([name, promise]) => {
    const cells = arms.map((arm) => {
      const own = drills.flatMap((drill) => drill.arms.filter((one) => one.arm === arm));
      if (own.length > 0 && own.every(({ figures }) => isUnchecked(figures, name as Invariant)))
        return html`<td class="zero">not judged</td>`;
      const broken = own.reduce((sum, { figures }) => sum + figures.violations[name as Invariant], 0);
      return html`<td class="${brokenClass(broken)}">${count(broken)}</td>`;
    });
    return html`<tr><th scope="row">${promise} <small><code>${name}</code></small></th>${cells}</tr>\n`;
  });
  const head = arms.map((arm) => html`<th scope="col">${ARM_TITLES[arm]}</th>`);
  const list = examples.map(
    ({ drill, arm, callId, invariant, expected, found }) =>
      html`<li>${drill}, ${ARM_TITLES[arm]}, call <code>${callId}</code>, <code>${invariant}</code>: expected ${expected}; found ${found}</li>\n`,
  );
  return html`<section class="drill" id="invariants"><h2>Invariants: what must hold for every call</h2>
<p>An invariant is a rule that no call may break, whatever fails. The table counts how often each setup broke each. Outrider promises 0.${isForeign(drills) ? ' Rules about executions are not judged here, because the models of this mesh keep no log.' : ''}</p>
<div class="scroll"><table><thead><tr><th scope="col">Invariant</th>${head}</tr></thead><tbody>${rows}</tbody></table></div>
${list.length > 0 ? html`<details><summary>Examples, up to three of each kind</summary><ul>${list}</ul></details>` : ''}</section>`;
}

function brokenClass(broken: number): string {
  return broken === 0 ? 'zero' : 'tag-bad';
}

/** Closed at first: it is as wide as there are figures. */
function allFigures({ drills }: PageReport): Markup {
  const head = COLUMNS.map(({ title }) => html`<th scope="col">${title}</th>`);
  const rows = drills.flatMap(({ text, arms }) =>
    arms.map(({ arm, figures }): Piece => {
      const cells = COLUMNS.map((column) => html`<td>${column.text(figures)}</td>`);
      return html`<tr><th scope="row">${text.name}</th><td>${ARM_TITLES[arm]}</td>${cells}</tr>\n`;
    }),
  );
  return html`<section class="drill"><h2>All figures</h2><details><summary>One table with a row for each scenario and setup</summary>
<div class="scroll"><table class="wide"><thead><tr><th scope="col">scenario</th><th scope="col">setup</th>${head}</tr></thead><tbody>${rows}</tbody></table></div></details></section>`;
}

/** Each figure links here from the tables of the drills. */
function definitions(): Markup {
  const list = COLUMNS.map(
    ({ key, title, meaning }) => html`<dt id="means-${key}">${title}</dt><dd>${meaning}</dd>\n`,
  );
  return html`<section class="drill"><h2>What the figures mean</h2>
<p>For repeated runs, counts are sums. Times are medians, with the smallest and the largest in brackets.</p>
<dl class="definitions">${list}<dt>the comparison</dt><dd>${COMPARISON_RULE}</dd></dl></section>`;
}
