import { escapeHtml } from '../../admin/escape.js';
import type { RatesNow } from '../../admin/look/charts.js';
import { happened } from '../../admin/look/happened.js';
import { ratesNow, seriesOf } from '../../admin/look/rates.js';
import type { PageSeries } from '../../admin/look/series.js';
import { shownSlots } from '../../admin/look/shown-slots.js';
import { stripLegend } from '../../admin/look/strip.js';
import { counted, failing, short, time } from '../../admin/look/words.js';
import { SLOT_MS } from '../../core/history/half-hour.js';
import { type Attention, attentionOf } from './attention.js';
import { anchorOf, graph } from './graph.js';
import { type Answered, callSources, type MeshMoment, serviceOf } from './mesh-view.js';
import { type Replica, replicasOf } from './replicas.js';
import { serviceSection } from './service-section.js';
import { pageSlot } from './sidecar-history.js';

/** With more services than these, those without a problem are closed at first. */
const OPEN_SERVICES = 6;
/** More problems than these are behind one line: the first screen has room for what they do. */
const SHOWN_PROBLEMS = 8;
/** Newest slots that are given again: not all sidecars had been read when they were given first. */
const AGAIN = 4;

/** The body of the page: its content, and what holds where there are no scripts. Every value is escaped where it is written. */
export function renderBody(moment: MeshMoment): string {
  return `${renderContent(moment)}\n<noscript><p class="foot">The charts and the lines of the picture need a script; all else is here, as it was when this page was loaded.</p></noscript>`;
}

/** What is shown where a drain was not done: why, and a link back to the page. */
export function renderRefused(says: string): string {
  return `<main><h1>Outrider mesh</h1><p class="refused">Not done: ${escapeHtml(says)}</p><p><a href="./">Back to the mesh</a></p></main>`;
}

/** The content alone, for the script. */
export function renderContent(moment: MeshMoment): string {
  const last = pageSlot(moment.nowMs);
  const slots = shownSlots(moment.histories.values(), last);
  const range = { first: last - slots + 1, last };
  const services = new Map(
    servicesOf(moment).map((service) => [service, replicasOf(service, moment, range)] as const),
  );
  const attention = attentionOf(moment, services);
  const nodes = [...services].map(([name, replicas]) => ({
    name,
    ready: replicas.filter(({ sidecar, state }) => sidecar !== undefined && state === 'ready').length,
    all: replicas.filter(({ sidecar }) => sidecar !== undefined).length,
  }));
  const troubled = new Set(attention.map(({ service }) => service));
  // Troubled ones come first, then those that others call: a service that only calls has no replica that takes any.
  const called = (service: string) => moment.edges.some(({ to }) => to === service);
  const sections = [...services].sort(
    ([a], [b]) =>
      Number(troubled.has(b)) - Number(troubled.has(a)) ||
      Number(called(b)) - Number(called(a)) ||
      a.localeCompare(b, 'en', { numeric: true }),
  );
  return `<main>${heading(moment, services, attention)}${drills(moment.sidecars)}${attentionList(attention)}
<div class="upper"><section><h2>Calls between services</h2>${graph(nodes, moment.edges)}</section>
${happened(moment.marks, moment.nowMs)}</div>
<section><h2>Services</h2>${stripLegend(slots)}
${sections
  .map(([name, replicas]) => {
    const sources = callSources(name, moment);
    return serviceSection({
      ...{ name, replicas },
      now: ratesNow(sources, last),
      hasCalls: sources.length > 0 || called(name),
      rollout: rolloutOf(name, moment.sidecars),
      isOpen: services.size <= OPEN_SERVICES || troubled.has(name),
    });
  })
  .join('\n')}</section>
${notes(moment)}</main>`;
}

/** What the charts are drawn from. @param since the newest slot that the browser has; -1: none. */
export function pageSeries(moment: MeshMoment, since: number): PageSeries {
  const last = pageSlot(moment.nowMs);
  const slots = shownSlots(moment.histories.values(), last);
  const oldest = last - slots + 1;
  const first = since < oldest || since > last ? oldest : Math.max(oldest, since - AGAIN);
  const groups = servicesOf(moment).map((name) => ({
    name,
    series: seriesOf(callSources(name, moment), queuesOf(name, moment), { first, last }),
    marks: moment.marks
      .filter(({ service }) => service === name)
      .map(({ atMs, kind, text }) => ({ atMs, kind, text })),
  }));
  return { slotMs: SLOT_MS, slots, first, groups };
}

function queuesOf(service: string, { sidecars, histories }: MeshMoment) {
  return sidecars.flatMap((each) => (serviceOf(each) === service ? (histories.get(each.name) ?? []) : []));
}

/** Every service that has a sidecar or is called. */
function servicesOf({ sidecars, edges }: MeshMoment): readonly string[] {
  const upstreams = sidecars.flatMap(({ report }) =>
    (report?.endpoints ?? []).map(({ upstream }) => upstream),
  );
  const own = sidecars.flatMap((each) => serviceOf(each) ?? []);
  return [...new Set([...own, ...upstreams, ...edges.flatMap(({ from, to }) => [from, to])])].sort();
}

/** How it stands, in one line: what is wrong, how many are ready, and the numbers of all calls. */
function heading(
  moment: MeshMoment,
  services: ReadonlyMap<string, readonly Replica[]>,
  attention: readonly Attention[],
): string {
  const { sidecars } = moment;
  const ready = sidecars.filter(({ report }) => report?.ready === true).length;
  const isBad = attention.some(({ tone }) => tone === 'bad');
  const tone =
    isBad || ready === 0 ? 'bad' : ready < sidecars.length || attention.length > 0 ? 'warn' : 'good';
  const problems = attention.length === 0 ? '' : `${counted(attention.length, 'problem')}, `;
  const last = pageSlot(moment.nowMs);
  const outermost = [...services.keys()].flatMap((service) => callSources(service, moment));
  return `<header><h1>Outrider mesh</h1><span id="state" class="tone ${tone}">${problems}${ready} of ${sidecars.length} sidecars ready</span>${totals(ratesNow(outermost, last))}</header>`;
}

function totals({ perSecond, failedRatio, p50, p99 }: RatesNow): string {
  const pair = (term: string, value: string) => `<div><dt>${term}</dt><dd>${value}</dd></div>`;
  return `<dl class="totals" title="all calls of the last 30 s">${pair('calls/s', short(perSecond))}${pair('fail', failedRatio === undefined ? '–' : failing(failedRatio))}${pair('p50', p50 === undefined ? '–' : time(p50))}${pair('p99', p99 === undefined ? '–' : time(p99))}</dl>`;
}

/** A banner: what a drill does, others would look for. */
function drills(sidecars: readonly Answered[]): string {
  const lines = sidecars.flatMap(({ name, drills: on = [] }) =>
    on.map((sentence) => `<li>${escapeHtml(name)}: ${escapeHtml(sentence)}</li>`),
  );
  return lines.length === 0
    ? ''
    : `<aside class="drill"><strong>A fault drill is on</strong><ul>${lines.join('')}</ul></aside>`;
}

/** What is wrong, the worst first, each with the command that shows more. */
function attentionList(attention: readonly Attention[]): string {
  if (attention.length === 0) return '';
  const rows = attention.map(
    ({ tone, service, text, command }) =>
      `<li><a class="tone ${tone}" href="#${anchorOf(service)}">${escapeHtml(service)}</a><span class="what">${escapeHtml(text)}</span><code>${escapeHtml(command)}</code></li>`,
  );
  const [first, others] = [rows.slice(0, SHOWN_PROBLEMS), rows.slice(SHOWN_PROBLEMS)];
  const more =
    others.length === 0
      ? ''
      : `<details data-key="more"><summary>${others.length} more</summary><ul>${others.join('')}</ul></details>`;
  return `<section class="attention"><h2>Needs attention</h2><ul>${first.join('')}</ul>${more}</section>`;
}

/** Of all sidecars of a service that say so, the rollout that began last. */
function rolloutOf(service: string, sidecars: readonly Answered[]) {
  const all = sidecars.flatMap(({ rollout }) => (rollout?.service === service ? [rollout] : []));
  return all.sort((a, b) => b.startedMs - a.startedMs)[0];
}

/** What the page cannot show, and why. */
function notes({ sidecars, unkept }: MeshMoment): string {
  const remote = sidecars.filter(({ isRemote }) => isRemote === true);
  const earlier = unkept.filter((name) => !remote.some((each) => each.name === name));
  const lines = [
    ...(earlier.length === 0
      ? []
      : [
          `${escapeHtml(listed(earlier))} of an earlier version keep no history: what is shown of them begins when this page was started.`,
        ]),
    ...(remote.length === 0
      ? []
      : [
          `${remote.length} of ${sidecars.length} are shown by their metrics, from when this page was started: their history, errors of connections, details of drills and draining need the admin port (<code>outrider status</code> on their machine, or <code>--admin</code> here).`,
        ]),
  ];
  return lines.map((line) => `<p class="quiet">${line}</p>`).join('');
}

function listed(names: readonly string[]): string {
  return names.length <= 4
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
