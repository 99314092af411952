import { SLOT_MS, SLOTS } from '../core/history/half-hour.js';
import { stateCode } from '../core/history/replica-state.js';
import { modelTitle } from '../telemetry/model-title.js';
import type * as reports from '../telemetry/reports.js';
import { endpointReason, endpointState, endpointTone } from './endpoint-state.js';
import { escapeHtml } from './escape.js';
import type { HistorySampler } from './history/history-sampler.js';
import { SELF } from './history/history-writer.js';
import { endpointKey } from './history/seen.js';
import { charts } from './look/charts.js';
import { happened } from './look/happened.js';
import { ratesNow, seriesOf } from './look/rates.js';
import type { ChartMark, PageSeries } from './look/series.js';
import { shownSlots } from './look/shown-slots.js';
import { strip, stripLegend, stripWords } from './look/strip.js';
import { counted, shellWord, span, time } from './look/words.js';
import type { StatusReport } from './status.js';

/** CSS class of a state of a model or of a Consul query; others are `bad`. */
const STATE_CLASS: Readonly<Record<string, string>> = {
  ready: 'good',
  foreign: 'good',
  current: 'good',
  cached: 'warn',
  held: 'warn',
  waiting: 'warn',
  starting: 'warn',
  serving: 'good',
  shadow: 'warn',
  pending: 'warn',
  loading: 'warn',
  warming: 'warn',
  golden: 'warn',
  draining: 'warn',
  stopped: 'warn',
  stopping: 'warn',
};

/** The past of the sidecar that the page is of; undefined: none is kept. */
type Past = Pick<HistorySampler, 'history' | 'slotsToWall'> | undefined;

/** The body of the page of one sidecar: its content, and where the rest is. Every value is escaped where it is written. */
export function renderBody(report: StatusReport, past: Past, nowMs: number): string {
  return `${renderContent(report, past, nowMs)}
<p class="foot"><small><a href="/metrics">metrics</a> · <a href="/endpoints">endpoints</a> · <a href="/history">history</a> · <a href="/config">config</a> · all sidecars of the mesh: <code>npx outrider page</code></small></p>`;
}

/** The content alone, for the script. @param nowMs wall-clock time. */
export function renderContent(report: StatusReport, past: Past, nowMs: number): string {
  const legend = past === undefined ? '' : stripLegend(slotsOf(past));
  return `<main>${heading(report)}${own(report, past)}${model(report)}${lives(report.lives ?? [])}${upstreams(report, past, legend)}${past === undefined ? '' : happened(marksOf(past), nowMs)}${registry(report.registry)}${names(report.dns ?? [])}${services(report.kubernetes ?? [])}${mirrors(report.mirrors ?? [])}</main>`;
}

/** What the charts are drawn from. @param since the newest slot that the browser has; -1: none. */
export function sidecarSeries(report: StatusReport, past: Past, since: number): PageSeries {
  const slots = slotsOf(past);
  if (past === undefined) return { slotMs: SLOT_MS, slots, first: 0, groups: [] };
  const { history, slotsToWall } = past;
  const oldest = history.last - slots + 1;
  const known = since - slotsToWall;
  const first = since < 0 || known < oldest || known > history.last ? oldest : known;
  const marks = marksOf(past);
  const groups = groupsOf(report).map(({ kind, service }) => ({
    name: kind,
    series: seriesOf([{ history, kind }], kind.startsWith('inbound ') ? [history] : [], {
      first,
      last: history.last,
    }),
    marks: marks.filter((mark) => mark.service === service),
  }));
  return { slotMs: SLOT_MS, slots, first: first + slotsToWall, groups };
}

function slotsOf(past: Past): number {
  return past === undefined ? SLOTS : shownSlots([past.history], past.history.last);
}

/** The kinds of calls that the page has charts of: those to the own model, and those to each upstream. */
function groupsOf(report: StatusReport): readonly { readonly kind: string; readonly service: string }[] {
  const inbound = hasModel(report) ? [{ kind: `inbound ${report.service}`, service: report.service }] : [];
  return [...inbound, ...upstreamsOf(report).map((service) => ({ kind: `outbound ${service}`, service }))];
}

function hasModel({ model: has, queue }: StatusReport): boolean {
  return has !== undefined || queue !== undefined;
}

function upstreamsOf({ endpoints }: StatusReport): readonly string[] {
  return [...new Set(endpoints.map(({ upstream }) => upstream))];
}

function marksOf({
  history,
  slotsToWall,
}: NonNullable<Past>): readonly (ChartMark & { readonly service: string })[] {
  return history.events.map(({ slot, kind, service, text }) => ({
    atMs: (slot + slotsToWall + 0.5) * SLOT_MS,
    ...{ kind, service, text },
  }));
}

function heading(report: StatusReport): string {
  const {
    instance,
    service,
    version,
    ready,
    restarts,
    notReady,
    unreached = [],
    certificateWarning,
  } = report;
  const reasons = [
    ...notReady,
    ...unreached,
    ...(certificateWarning === undefined ? [] : [certificateWarning]),
  ]
    .map((reason) => `<p>${escapeHtml(reason)}</p>`)
    .join('');
  const again = restarts ? ` · started again ${times(restarts)}` : '';
  return `<header><h1>${escapeHtml(instance)}</h1><span id="state" class="tone ${ready ? 'good' : 'bad'}">${ready ? 'ready' : 'not ready'}</span><small>service ${escapeHtml(service)} · outrider ${escapeHtml(version)}${again}</small></header>${reasons}`;
}

/** A code for each slot of the last half hour. */
function codesOf(past: Past, thing: string): readonly number[] {
  const slots = slotsOf(past);
  if (past === undefined) return Array<number>(slots).fill(stateCode('none'));
  const { history } = past;
  return Array.from({ length: slots }, (_, i) => history.stateOf(history.last - slots + 1 + i, thing));
}

/** The calls to the own model, and its queue. */
function own(report: StatusReport, past: Past): string {
  if (!hasModel(report)) return '';
  const { service, instance, queue } = report;
  const kind = `inbound ${service}`;
  const now =
    past === undefined ? { perSecond: 0 } : ratesNow([{ history: past.history, kind }], past.history.last);
  const codes = codesOf(past, SELF);
  const drawn =
    past === undefined ? '' : `${strip(codes, stripWords(instance, codes))}${charts(kind, now, queue)}`;
  return `<section><h2>Calls to ${escapeHtml(service)} here</h2>${drawn}${queueLines(queue)}</section>`;
}

function model(report: StatusReport): string {
  const { model: one, models } = report;
  if (one === undefined) return '';
  if (models !== undefined) return modelTable(models);
  const pid = one.pid === undefined ? '' : ` · process ${one.pid}`;
  return `<section><h2>Model</h2><p>${state(one.state)}${pid} · started again ${times(one.restarts)}</p><p>${escapeHtml(one.why)}</p></section>`;
}

function modelTable(models: readonly reports.ModelReport[]): string {
  const rows = models.map((each) => {
    const { state: how, pid, restarts, why } = each;
    return [text(modelTitle(each)), cell(state(how)), number(pid ?? ''), number(restarts), text(why)].join(
      '',
    );
  });
  return table('Models', ['model', 'state', '#process', '#restarts', 'why'], rows);
}

/** Shown where a version is anywhere else than in service. */
function lives(rows: readonly reports.LifeReport[]): string {
  if (rows.every(({ state: where }) => where === 'serving')) return '';
  const body = rows.map((each) => {
    const since = each.since.slice(0, 19).replace('T', ' ');
    return [text(modelTitle(each)), cell(state(each.state)), text(since), text(each.why)].join('');
  });
  return table('Versions', ['version', 'state', 'since (UTC)', 'why'], body);
}

function queueLines(queue: reports.QueueReport | undefined): string {
  if (queue === undefined) return '';
  return `<p>${queue.running} of ${queue.concurrency} running · ${queue.waiting} waiting (${queue.waitingBytes} bytes)</p>${limits(queue)}`;
}

/** Limits of the queue that are configured or have been hit. */
function limits({ unloadedMs, classes, evicted, rateLimited, pressure }: reports.QueueReport): string {
  const parts = [
    ...(classes ?? []).map(({ name, waiting }) => `${waiting} ${name}`),
    ...(unloadedMs === undefined ? [] : [`unloaded latency ${unloadedMs.toFixed(1)} ms`]),
    ...(evicted === undefined || evicted === 0 ? [] : [`${evicted} evicted`]),
    ...(rateLimited === undefined ? [] : [`${rateLimited} over their rate`]),
    ...(pressure === undefined || pressure === 'none' ? [] : [`memory pressure ${pressure}`]),
  ];
  return parts.length === 0 ? '' : `<p class="quiet">${parts.map(escapeHtml).join(' · ')}</p>`;
}

function registry(report: reports.RegistryReport | undefined): string {
  if (report === undefined) return '';
  const { registered, problem } = report;
  const inCatalogue =
    registered === undefined
      ? ''
      : ` · ${registered ? toned('registered', 'good') : toned('not registered', 'bad')}`;
  const lines = [...(problem === undefined ? [] : [problem]), ...report.unsupported];
  const rows = report.queries.map(({ name, state: how, ageMs, problem: why }) =>
    [text(name), cell(state(how)), number(ago(ageMs)), text(why ?? '')].join(''),
  );
  const what = `<p>${escapeHtml(report.where)}${inCatalogue}</p>${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('')}`;
  return table('Consul', ['what is read', 'state', '#last answer', 'why'], rows, what);
}

function ago(ageMs: number | undefined): string {
  return ageMs === undefined ? '' : `${span(ageMs)} ago`;
}

/** The DNS names of upstreams. */
function names(rows: readonly reports.DnsReport[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map(({ upstream, name, found, state: how, addresses, kept, ageMs, problem }) =>
    [
      ...[text(upstream), text(found === undefined ? name : `${name} (${found})`), cell(state(how))],
      ...[number(addresses), number(kept), number(ago(ageMs)), text(problem ?? '')],
    ].join(''),
  );
  return table('DNS', ['upstream', 'name', 'state', '#addresses', '#kept', '#last answer', 'why'], lines);
}

/** The Services of Kubernetes of upstreams. */
function services(rows: readonly reports.KubernetesReport[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map(
    ({ upstream, service, state: how, endpoints, unready, terminating, kept, ageMs, problem }) =>
      [
        ...[text(upstream), text(service), cell(state(how)), number(endpoints), number(unready)],
        ...[number(terminating), number(kept), number(ago(ageMs)), text(problem ?? '')],
      ].join(''),
  );
  const counts = ['#ready', '#not ready', '#terminating', '#kept', '#last news'];
  return table('Kubernetes', ['upstream', 'service', 'state', ...counts, 'why'], lines);
}

/** Each upstream with its charts, and its endpoints as this sidecar sees them. */
function upstreams(report: StatusReport, past: Past, legend: string): string {
  const sections = upstreamsOf(report).map((service, i) => {
    const kind = `outbound ${service}`;
    const now =
      past === undefined ? { perSecond: 0 } : ratesNow([{ history: past.history, kind }], past.history.last);
    const rows = report.endpoints
      .filter(({ upstream }) => upstream === service)
      .map((row) => endpointRow(row, past));
    const head =
      '<div class="row head" aria-hidden="true"><span>endpoint</span><span>past</span><span>state</span><span>why</span><span>in flight</span><span class="n late">latency</span></div>';
    return `<section data-key="${escapeHtml(service)}"><h2>Calls to ${escapeHtml(service)}</h2>${i === 0 ? legend : ''}${past === undefined ? '' : charts(kind, now, undefined)}<div class="rows">${head}${rows.join('\n')}</div></section>`;
  });
  return sections.join('');
}

function endpointRow(row: reports.EndpointReport, past: Past): string {
  const { cluster, priority, share, suspicion, reportedLoad, successRatio, latencyRatio, untilMs } = row;
  const reason = endpointReason(row);
  const notes = [
    ...(cluster === undefined ? [] : [`cluster ${cluster}`]),
    ...(priority === undefined ? [] : [`priority ${priority}`]),
    ...(untilMs === undefined ? [] : [`${Math.ceil(untilMs / 1000)} s to go`]),
    ...(share === undefined ? [] : [`${percent(share)} of its share`]),
    ...(suspicion === undefined ? [] : [`suspicion ${percent(suspicion.value)}`]),
    ...(reportedLoad === undefined ? [] : [`reports a load of ${percent(reportedLoad)}`]),
    ...(successRatio === undefined ? [] : [`${percent(successRatio)} successful in the last 10 s`]),
    ...(latencyRatio === undefined ? [] : [`${latencyRatio.toFixed(1)} × the latency of its peers`]),
  ];
  const why = [...(reason === '' ? [] : [reason]), ...notes].join('; ');
  const codes = codesOf(past, endpointKey(row));
  const latency = row.latencyMs === undefined ? '–' : time(row.latencyMs);
  const shown = escapeHtml(row.endpoint);
  const facts = [
    ...[row.address, `${endpointState(row)} for ${span(row.sinceMs)}`, counted(row.attempts, 'attempt')],
    ...[counted(row.faults, 'fault'), counted(row.ejections, 'ejection')],
  ];
  const command = `npx outrider status ${shellWord(row.upstream)}`;
  return `<details class="row" data-key="${escapeHtml(`${row.cluster ?? ''} ${row.endpoint}`)}"><summary><span class="name" title="${escapeHtml(row.address)}">${shown}</span>${strip(codes, stripWords(row.endpoint, codes))}${toned(endpointState(row), endpointTone(row))}<span class="why" title="${escapeHtml(why)}">${escapeHtml(why)}</span><span class="queue">${row.inFlight} in flight</span><span class="n late">${latency}</span></summary><div class="inside"><p>${escapeHtml(facts.join(' · '))}</p><p>${escapeHtml(why)}</p><div class="more"><code>${escapeHtml(command)}</code></div></div></details>`;
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

function mirrors(rows: readonly reports.MirrorReport[]): string {
  if (rows.length === 0) return '';
  const body = rows.map((row) => {
    const last = row.last === undefined ? '' : `${row.last}, ${ago(row.lastAgoMs ?? 0)}`;
    const counts = [row.sent, row.skipped, row.compared, row.mismatched].map(number);
    return [text(row.upstream), text(row.to), ...counts, text(last)].join('');
  });
  const columns = [
    'calls of',
    'copied to',
    '#copies',
    '#skipped',
    '#compared',
    '#mismatched',
    'last mismatch',
  ];
  return table('Mirrors', columns, body);
}

/** @param columns a `#` before the name of one with numbers. @param rows cells, escaped. @param above what stands between heading and table. */
function table(title: string, columns: readonly string[], rows: readonly string[], above = ''): string {
  const head = columns.map((each) =>
    each.startsWith('#') ? `<th class="n">${each.slice(1)}</th>` : `<th>${each}</th>`,
  );
  return `<section><h2>${title}</h2>${above}<div class="wide"><table><thead><tr>${head.join('')}</tr></thead><tbody>${rows.map((row) => `<tr>${row}</tr>`).join('\n')}</tbody></table></div></section>`;
}

function cell(html: string): string {
  return `<td>${html}</td>`;
}

function text(plain: string): string {
  return cell(escapeHtml(plain));
}

function number(value: number | string): string {
  return `<td class="n">${value}</td>`;
}

function state(name: string): string {
  return toned(name, STATE_CLASS[name] ?? 'bad');
}

function toned(word: string, tone: string): string {
  return `<span class="tone ${tone}">${escapeHtml(word)}</span>`;
}
