import { endpointState, endpointTone } from '../../admin/endpoint-state.js';
import { escapeHtml } from '../../admin/escape.js';
import type { StatusReport } from '../../admin/status.js';
import { modelTitle } from '../../telemetry/model-title.js';
import { graph, type Node } from './graph.js';
import type { Answered, MeshMoment } from './mesh-view.js';
import { SCRIPT, STYLE } from './style.js';
import { timeline } from './timeline.js';

/**
 * The page for operating a mesh: one HTML document, rendered on the server. It loads nothing else; its script fetches the content
 * every 2 s, and the page works without scripts. Every value is escaped where it is written.
 *
 * @param nonce admits style and script under the content security policy.
 */
export function renderMesh(moment: MeshMoment, nonce: string): string {
  return document(`${renderContent(moment)}\n<script nonce="${nonce}">${SCRIPT}</script>`, nonce);
}

/** What is shown where a drain was not done: why, and a link back to the page. It has no script. @param nonce as for the page. */
export function renderRefused(says: string, nonce: string): string {
  return document(
    `<main><h1>Outrider mesh</h1><p class="refused">Not done: ${escapeHtml(says)}</p><p><a href="/">Back to the mesh</a></p></main>`,
    nonce,
  );
}

function document(body: string, nonce: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>outrider mesh</title><style nonce="${nonce}">${STYLE}</style></head>
<body>${body}</body></html>
`;
}

/** The content alone, for the script: a document with a style of another nonce would be refused. */
export function renderContent(moment: MeshMoment): string {
  return `<main>${heading(moment)}${drills(moment.sidecars)}
<h2>Services</h2><div class="wide">${graph(nodesOf(moment), moment.edges)}</div>
${calledServices(moment)
  .map((service) => section(service, moment))
  .join('\n')}
${happened(moment)}${sidecars(moment.sidecars)}</main>`;
}

/** How many are ready, in the colour of the worst. */
function heading({ sidecars }: MeshMoment): string {
  const ready = sidecars.filter(({ report }) => report?.ready === true).length;
  const tone = ready === sidecars.length ? 'good' : ready === 0 ? 'bad' : 'warn';
  return `<h1>Outrider mesh</h1><p id="state" class="${tone}">${ready} of ${sidecars.length} sidecars ready</p>`;
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

/** Of the sidecars that answer. */
function reportsOf({ sidecars }: MeshMoment): StatusReport[] {
  return sidecars.flatMap(({ report }) => report ?? []);
}

/** Every service that has a sidecar or is called, callers first. */
function nodesOf(moment: MeshMoment): Node[] {
  const reports = reportsOf(moment);
  const gone = moment.sidecars.flatMap(({ lastService }) => lastService ?? []);
  const names = new Set([
    ...reports.map(({ service }) => service),
    ...gone,
    ...moment.edges.flatMap(({ from, to }) => [from, to]),
  ]);
  return [...names].sort().map((name) => {
    const own = reports.filter(({ service }) => service === name);
    const all = own.length + gone.filter((service) => service === name).length;
    return { name, ready: own.filter(({ ready }) => ready).length, all };
  });
}

/** Services that are called, also those that had no call in the last minutes. */
function calledServices(moment: MeshMoment): string[] {
  const upstreams = reportsOf(moment).flatMap(({ endpoints }) => endpoints.map(({ upstream }) => upstream));
  return [...new Set([...moment.edges.map(({ to }) => to), ...upstreams])].sort();
}

/** One service: its timeline, and its endpoints as each caller sees them. */
function section(service: string, moment: MeshMoment): string {
  const rows = moment.sidecars.flatMap(({ name, report }) =>
    (report?.endpoints ?? [])
      .filter(({ upstream }) => upstream === service)
      .map((row) => {
        const since = row.sinceMs < 1_000 ? 'now' : `${ago(row.sinceMs)}`;
        const latency = row.latencyMs === undefined ? '–' : `${row.latencyMs.toFixed(1)} ms`;
        return `<tr><td>${escapeHtml(row.endpoint)}</td><td>${escapeHtml(name)}</td><td><span class="${endpointTone(row)}">${endpointState(row)}</span></td><td class="n">${since}</td>
<td class="n minor">${row.inFlight}</td><td class="n minor">${latency}</td><td class="n minor">${row.faults}</td><td class="n minor">${row.ejections}</td><td>${escapeHtml(row.why)}</td></tr>`;
      }),
  );
  const table =
    rows.length === 0
      ? ''
      : `<div class="wide"><table><thead><tr><th>endpoint</th><th>seen by</th><th>state</th><th class="n">since</th><th class="n minor">in flight</th><th class="n minor">latency</th><th class="n minor">faults</th><th class="n minor">ejections</th><th>why</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
  return `<h2>${escapeHtml(service)}</h2>${timeline(service, moment)}${table}`;
}

/** The marks in words, newest first. */
function happened({ marks, nowMs }: MeshMoment): string {
  const rows = marks
    .toReversed()
    .slice(0, 20)
    .map(
      ({ atMs, kind, text }) =>
        `<li><span class="tag ${kind}">${kind}</span> ${escapeHtml(text)} <small>${ago(nowMs - atMs)} ago</small></li>`,
    );
  return rows.length === 0 ? '' : `<h2>What happened</h2><ul class="marks">${rows.join('')}</ul>`;
}

/** Each sidecar with its readiness, line and models; one that does not answer with what its connection said. */
function sidecars(all: readonly Answered[]): string {
  const rows = all.map(({ name, report, lastService = '', problem, isRemote, note }) => {
    if (report === undefined)
      return `<tr><td>${escapeHtml(name)}</td><td class="minor">${escapeHtml(lastService)}</td><td><span class="bad">no answer</span></td><td></td><td colspan="3">${escapeHtml(problem ?? '')}</td></tr>`;
    const { service, ready, notReady, queue, models, model } = report;
    const line =
      queue === undefined ? '' : `${queue.running} of ${queue.concurrency} run, ${queue.waiting} wait`;
    const served = (models ?? (model === undefined ? [] : [model])).map(
      (each) =>
        `<span class="${each.state === 'ready' || each.state === 'foreign' ? 'good' : 'bad'}">${escapeHtml(modelTitle(each))}${each.restarts === 0 ? '' : `, restarts: ${each.restarts}`}</span>`,
    );
    return `<tr><td>${escapeHtml(name)}</td><td class="minor">${escapeHtml(service)}</td><td><span class="${ready ? 'good' : 'bad'}">${ready ? 'ready' : 'not ready'}</span></td>
<td>${isRemote === true ? '' : action(name, notReady.includes('draining'))}</td><td>${escapeHtml([...notReady, ...(note === undefined ? [] : [note])].join('; '))}</td><td>${line}</td><td>${served.join('<br>')}</td></tr>`;
  });
  return `<h2>Sidecars</h2>${remoteNote(all)}<div class="wide"><table><thead><tr><th>sidecar</th><th class="minor">service</th><th>state</th><th></th><th>why</th><th>queue</th><th>models</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

/** What the page cannot say of sidecars whose admin port it does not reach, once for all of them. */
function remoteNote(all: readonly Answered[]): string {
  const remote = all.filter(({ isRemote }) => isRemote === true).length;
  return remote === 0
    ? ''
    : `<p class="quiet">${remote} of ${all.length} are shown by their metrics: errors of connections, details of drills and draining need the admin port (<code>outrider status</code> on their machine, or <code>--admin</code> here).</p>`;
}

/** Two clicks: what is drained takes no calls until it is brought back. */
function action(name: string, isDraining: boolean): string {
  const [path, word, says] = isDraining
    ? ['/undrain', 'undrain', 'A new process takes over and takes calls.']
    : ['/drain', 'drain', 'It finishes what it has and takes nothing new.'];
  return `<details><summary>${word}</summary><form method="post" action="${path}?sidecar=${encodeURIComponent(name)}"><p>${says}</p><button>${word} ${escapeHtml(name)}</button></form></details>`;
}

/** A length of time in one unit. */
function ago(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
