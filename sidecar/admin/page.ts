import { modelTitle } from '../telemetry/model-title.js';
import type * as reports from '../telemetry/reports.js';
import { endpointReason, endpointState, endpointTone } from './endpoint-state.js';
import { escapeHtml } from './escape.js';
import type { StatusReport } from './status.js';

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .25rem } h2 { font-size: 1rem; margin: 1.75rem 0 .5rem }
p { margin: .25rem 0 } small, .quiet { opacity: .7 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.good::before, .warn::before, .bad::before { content: "●"; margin-right: .4em } .good::before { color: var(--good) }
.warn::before { color: var(--warn) } .bad::before { color: var(--bad) }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --warn: #d29922; --bad: #f85149 } a { color: #58a6ff } }
@media (max-width: 45rem) { body { margin: 1rem auto } th, td { padding-right: .5rem; overflow-wrap: break-word } .wide { display: none } }
`;

const SCRIPT = `
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href);
    const text = await answer.text();
    // The content alone: a style of another nonce would be refused.
    const part = text.slice(text.indexOf('<main>'), text.indexOf('</main>'));
    const fresh = new DOMParser().parseFromString(part, 'text/html').querySelector('main');
    document.querySelector('main').replaceWith(fresh);
  } catch {
    document.querySelector('#state').textContent = 'the sidecar does not answer';
    document.querySelector('#state').className = 'bad';
  }
}, 2000);
`;

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

/**
 * The admin page: one HTML document, rendered on the server from the status report. It loads
 * nothing else; its script fetches the page every 2 s and replaces the content, so that there is
 * one renderer and the page works without scripts. Every value is escaped where it is written.
 *
 * @param nonce admits style and script under the content security policy.
 */
export function renderPage(report: StatusReport, nonce: string): string {
  const title = `${report.instance} · outrider`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style nonce="${nonce}">${STYLE}</style></head>
<body><main>
${heading(report)}${model(report)}${lives(report.lives ?? [])}${queue(report)}${registry(report.registry)}${names(report.dns ?? [])}${endpoints(report.endpoints)}${mirrors(report.mirrors ?? [])}
</main><p><small><a href="/metrics">metrics</a> · <a href="/endpoints">endpoints</a> · <a href="/config">config</a></small></p>
<script nonce="${nonce}">${SCRIPT}</script></body></html>
`;
}

function heading(report: StatusReport): string {
  const reasons = report.notReady.map((reason) => `<p>${escapeHtml(reason)}</p>`).join('');
  return `<h1>${escapeHtml(report.instance)}</h1>
<p class="quiet">service ${escapeHtml(report.service)} · outrider ${escapeHtml(report.version)}${report.restarts ? ` · started again ${times(report.restarts)}` : ''}</p>
<p id="state" class="${report.ready ? 'good' : 'bad'}">${report.ready ? 'ready' : 'not ready'}</p>${reasons}`;
}

function model(report: StatusReport): string {
  const { model, models } = report;
  if (model === undefined) return '';
  if (models !== undefined) return modelTable(models);
  const pid = model.pid === undefined ? '' : ` · process ${model.pid}`;
  return `<h2>Model</h2><p>${state(model.state)}${pid} · started again ${times(model.restarts)}</p><p>${escapeHtml(model.why)}</p>`;
}

function modelTable(models: readonly reports.ModelReport[]): string {
  const rows = models.map((each) => {
    const { state: how, pid, restarts, why } = each;
    return `<tr><td>${escapeHtml(modelTitle(each))}</td><td>${state(how)}</td><td class="n">${pid ?? ''}</td><td class="n">${restarts}</td><td>${escapeHtml(why)}</td></tr>`;
  });
  return `<h2>Models</h2><table><thead><tr><th>model</th><th>state</th><th class="n">process</th><th class="n">restarts</th><th>why</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`;
}

/** Shown where a version is anywhere else than in service. */
function lives(rows: readonly reports.LifeReport[]): string {
  if (rows.every(({ state: where }) => where === 'serving')) return '';
  const body = rows.map(
    (each) =>
      `<tr><td>${escapeHtml(modelTitle(each))}</td><td>${state(each.state)}</td><td>${escapeHtml(each.since.slice(0, 19).replace('T', ' '))}</td><td>${escapeHtml(each.why)}</td></tr>`,
  );
  return `<h2>Versions</h2><table><thead><tr><th>version</th><th>state</th><th>since (UTC)</th><th>why</th></tr></thead>
<tbody>${body.join('\n')}</tbody></table>`;
}

function queue(report: StatusReport): string {
  const { queue } = report;
  if (queue === undefined) return '';
  return `<h2>Queue</h2><p>${queue.running} of ${queue.concurrency} running · ${queue.waiting} waiting
(${queue.waitingBytes} bytes)</p>${limits(queue)}`;
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
      : ` · <span class="${registered ? 'good">registered' : 'bad">not registered'}</span>`;
  const lines = [...(problem === undefined ? [] : [problem]), ...report.unsupported];
  const rows = report.queries.map(({ name, state: how, ageMs, problem: why }) => {
    const age = ageMs === undefined ? '' : `${(ageMs / 1000).toFixed(0)} s ago`;
    return `<tr><td>${escapeHtml(name)}</td><td>${state(how)}</td><td class="n">${age}</td><td>${escapeHtml(why ?? '')}</td></tr>`;
  });
  return `<h2>Consul</h2><p>${escapeHtml(report.where)}${inCatalogue}</p>${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('')}
<table><thead><tr><th>what is read</th><th>state</th><th class="n">last answer</th><th>why</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`;
}

/** The DNS names of upstreams. */
function names(rows: readonly reports.DnsReport[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map(({ upstream, name, found, state: how, addresses, kept, ageMs, problem }) => {
    const age = ageMs === undefined ? '' : `${(ageMs / 1000).toFixed(0)} s ago`;
    const asked = found === undefined ? name : `${name} (${found})`;
    return `<tr><td>${escapeHtml(upstream)}</td><td>${escapeHtml(asked)}</td><td>${state(how)}</td><td class="n">${addresses}</td><td class="n">${kept}</td><td class="n">${age}</td><td>${escapeHtml(problem ?? '')}</td></tr>`;
  });
  return `<h2>DNS</h2><table><thead><tr><th>upstream</th><th>name</th><th>state</th><th class="n">addresses</th><th class="n">kept</th><th class="n">last answer</th><th>why</th></tr></thead>
<tbody>${lines.join('\n')}</tbody></table>`;
}

function endpoints(rows: readonly reports.EndpointReport[]): string {
  if (rows.length === 0) return '';
  const hasPriorities = rows.some(({ priority }) => priority !== undefined);
  const body = rows.map((row) => endpointRow(row, hasPriorities)).join('\n');
  const priority = hasPriorities ? '<th class="n">priority</th>' : '';
  return `<h2>Endpoints</h2><table><thead><tr><th>upstream</th><th>endpoint</th>${priority}<th>state</th><th class="n wide">in flight</th>
<th class="n">latency</th><th class="n wide">attempts</th><th class="n wide">faults</th><th class="n wide">ejections</th><th>why</th></tr></thead>
<tbody>${body}</tbody></table>`;
}

function endpointRow(row: reports.EndpointReport, hasPriorities: boolean): string {
  const { cluster, priority, share, suspicion, reportedLoad, successRatio, latencyRatio, untilMs } = row;
  const upstream = cluster === undefined ? row.upstream : `${row.upstream} · ${cluster}`;
  const notes = [
    ...(untilMs === undefined ? [] : [`${Math.ceil(untilMs / 1000)} s to go`]),
    ...(share === undefined ? [] : [`${percent(share)} of its share`]),
    ...(suspicion === undefined ? [] : [`suspicion ${percent(suspicion.value)}`]),
    ...(reportedLoad === undefined ? [] : [`reports a load of ${percent(reportedLoad)}`]),
    ...(successRatio === undefined ? [] : [`${percent(successRatio)} successful in the last 10 s`]),
  ];
  const toPeers = latencyRatio === undefined ? '' : `, ${latencyRatio.toFixed(1)} × its peers`;
  const number = hasPriorities ? `<td class="n">${priority ?? 0}</td>` : '';
  return `<tr><td>${escapeHtml(upstream)}</td><td title="${escapeHtml(row.address)}">${escapeHtml(row.endpoint)}</td>${number}
<td>${toned(endpointState(row), endpointTone(row))}${notes.map((note) => `, ${note}`).join('')}</td><td class="n wide">${row.inFlight}</td><td class="n">${row.latencyMs === undefined ? '–' : `${row.latencyMs.toFixed(1)} ms`}${toPeers}</td>
<td class="n wide">${row.attempts}</td><td class="n wide">${row.faults}</td><td class="n wide">${row.ejections}</td><td>${escapeHtml(endpointReason(row))}</td></tr>`;
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
    const last = row.last === undefined ? '' : `${escapeHtml(row.last)}, ${seconds(row.lastAgoMs ?? 0)} ago`;
    return `<tr><td>${escapeHtml(row.upstream)}</td><td>${escapeHtml(row.to)}</td><td class="n">${row.sent}</td>
<td class="n">${row.skipped}</td><td class="n">${row.compared}</td><td class="n">${row.mismatched}</td><td>${last}</td></tr>`;
  });
  return `<h2>Mirrors</h2><table><thead><tr><th>calls of</th><th>copied to</th><th class="n">copies</th><th class="n">skipped</th>
<th class="n">compared</th><th class="n">mismatched</th><th>last mismatch</th></tr></thead><tbody>${body.join('\n')}</tbody></table>`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function state(name: string): string {
  return toned(name, STATE_CLASS[name] ?? 'bad');
}

function toned(text: string, tone: string): string {
  return `<span class="${tone}">${escapeHtml(text)}</span>`;
}
