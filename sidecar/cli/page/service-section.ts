import { endpointReason, endpointState, endpointTone } from '../../admin/endpoint-state.js';
import { escapeHtml } from '../../admin/escape.js';
import { charts, type QueueNow, type RatesNow } from '../../admin/look/charts.js';
import { strip, stripWords } from '../../admin/look/strip.js';
import { counted, failing, short, span, time } from '../../admin/look/words.js';
import type { RolloutRecord } from '../../core/models/rollout.js';
import { modelTitle } from '../../telemetry/model-title.js';
import { statusCommand } from './attention.js';
import { anchorOf, serviceTone } from './graph.js';
import { type CallerView, listed, modelsOf, type Replica, worstStrip } from './replicas.js';

/** What the page has of one service. */
export interface ServiceFacts {
  readonly name: string;
  readonly replicas: readonly Replica[];
  readonly now: RatesNow;
  /** Whether somebody counts calls to it. */
  readonly hasCalls: boolean;
  readonly rollout: RolloutRecord | undefined;
  /** Whether it is open at first; what a person opened or closed stays so. */
  readonly isOpen: boolean;
}

/** One service: its numbers and its worst states in one line, and below them its charts and its replicas. */
export function serviceSection(facts: ServiceFacts): string {
  const { name, replicas, now, hasCalls, rollout, isOpen } = facts;
  const ready = replicas.filter(({ state }) => state === 'ready').length;
  const tone = serviceTone({ ready, all: replicas.length });
  const queue = queueOf(replicas);
  const rows = replicas.map((each) => replicaRow(name, each));
  const worst = worstStrip(replicas);
  return `<details class="service" id="${anchorOf(name)}" data-key="${escapeHtml(name)}"${isOpen ? ' open' : ''}><summary><span><h2>${escapeHtml(name)}</h2> <small>${escapeHtml(versions(name, replicas))}</small></span><span class="tone ${tone}">${ready} of ${replicas.length} ready</span><span class="now">${hasCalls ? numbers(now) : 'not called here'}</span>${strip(worst, stripWords(name, worst))}</summary>
${rolloutLine(rollout)}${hasCalls || queue !== undefined ? charts(name, now, queue) : ''}
<div class="rows"><div class="row head" aria-hidden="true"><span>replica</span><span>past</span><span>state</span><span>why</span><span>queue</span><span class="n late">latency</span></div>${rows.join('\n')}</div></details>`;
}

function numbers({ perSecond, failedRatio = 0, p50, p99 }: RatesNow): string {
  if (perSecond === 0) return 'no calls in the last 30 s';
  const times = p50 === undefined || p99 === undefined ? '' : ` · p50 ${time(p50)} · p99 ${time(p99)}`;
  return `${short(perSecond)} calls/s · ${failing(failedRatio)} fail${times}`;
}

/** The versions that are served, each once. */
function versions(service: string, replicas: readonly Replica[]): string {
  const all = replicas.flatMap(({ sidecar }) =>
    (sidecar?.report?.lives ?? [])
      .filter(({ state, version }) => version !== undefined && (state === 'serving' || state === 'suspect'))
      .map((each) => (each.name === service ? `version ${each.version}` : modelTitle(each))),
  );
  return [...new Set(all)].sort().join(', ');
}

/** Of all replicas together; undefined: none says it. */
function queueOf(replicas: readonly Replica[]): QueueNow | undefined {
  const queues = replicas.flatMap(({ sidecar }) => sidecar?.report?.queue ?? []);
  if (queues.length === 0) return undefined;
  const sum = (read: (each: QueueNow) => number) => queues.reduce((all, each) => all + read(each), 0);
  return {
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    concurrency: sum(({ concurrency }) => concurrency),
  };
}

const ENDED: ReadonlySet<RolloutRecord['state']> = new Set(['done', 'rejected', 'rolled-back', 'aborted']);
const TONES: Partial<Record<RolloutRecord['state'], string>> = {
  running: 'good',
  done: 'good',
  paused: 'warn',
  aborted: 'warn',
};

/** The rollout that is under way, or how the last one ended. */
function rolloutLine(record: RolloutRecord | undefined): string {
  if (record === undefined) return '';
  const { model, version, from, state, why, replicas } = record;
  const places = replicas.map(({ instance, phase }) => `${instance} ${phase}`).join(', ');
  const isOver = ENDED.has(state);
  const words = isOver ? why : [places, why].filter((each) => each !== '').join('; ');
  return `<p class="rollout"><span class="tone ${TONES[state] ?? 'bad'}">rollout ${state}</span> ${escapeHtml(`${model} ${from} → ${version}`)}${words === '' ? '' : `: ${escapeHtml(words)}`} <code>npx outrider rollout ${escapeHtml(record.service)}</code></p>`;
}

/** Names of so many characters may not fit. */
const LONG_NAME = 20;

/** One replica: a line, and what is behind it. */
function replicaRow(service: string, replica: Replica): string {
  const { name, state, tone, why, sidecar, views } = replica;
  const queue = sidecar?.report?.queue;
  const load =
    queue === undefined ? '' : `${queue.running} of ${queue.concurrency} run, ${queue.waiting} wait`;
  const latencies = views.flatMap(({ endpoint }) => endpoint.latencyMs ?? []);
  const latency = latencies.length === 0 ? '' : time(Math.max(...latencies));
  const shown = escapeHtml(name);
  return `<details class="row" data-key="${shown}"><summary><span class="name"${titleOf(name)}>${shown}</span>${strip(replica.strip, stripWords(name, replica.strip))}<span class="tone ${tone}">${escapeHtml(state)}</span><span class="why"${why === '' ? '' : ` title="${escapeHtml(why)}"`}>${escapeHtml(why)}</span><span class="queue">${load}</span><span class="n late">${latency}</span></summary><div class="inside">${inside(service, replica)}</div></details>`;
}

/** A name that may be cut off can be read in full. */
function titleOf(name: string): string {
  return name.length < LONG_NAME ? '' : ` title="${escapeHtml(name)}"`;
}

function inside(service: string, replica: Replica): string {
  const { sidecar, views, why, name } = replica;
  const canDrain = sidecar?.report !== undefined && sidecar.isRemote !== true;
  const drain = canDrain ? action(name, sidecar.report!.notReady.includes('draining')) : '';
  const served = modelsOf(sidecar).map((each) => {
    const restarts = each.restarts === 0 ? '' : `, ${counted(each.restarts, 'restart')}`;
    const tone = each.state === 'ready' || each.state === 'foreign' ? 'good' : 'bad';
    const reason = each.why === '' ? '' : `: ${escapeHtml(each.why)}`;
    return `<li><span class="tone ${tone}">${escapeHtml(modelTitle(each) || 'model')} ${each.state}</span>${restarts}${reason}</li>`;
  });
  return `${why === '' ? '' : `<p>${escapeHtml(why)}</p>`}${served.length === 0 ? '' : `<ul>${served.join('')}</ul>`}${viewTable(views)}<div class="more"><code>${escapeHtml(statusCommand(service, sidecar))}</code>${drain}</div>`;
}

/** The replica as its callers see it; those that see the same are one row. */
function viewTable(views: readonly CallerView[]): string {
  if (views.length === 0) return '<p class="quiet">No caller here has it among its endpoints.</p>';
  const groups = new Map<string, CallerView[]>();
  for (const view of views) {
    const key = `${endpointState(view.endpoint)}\n${endpointTone(view.endpoint)}\n${endpointReason(view.endpoint)}`;
    groups.set(key, [...(groups.get(key) ?? []), view]);
  }
  return `<div class="wide"><table><thead><tr><th>seen by</th><th>state</th><th class="n">since</th><th class="n minor">in flight</th><th class="n">latency</th><th class="n minor">failed attempts</th><th class="n minor">ejections</th><th>why</th></tr></thead><tbody>${[...groups.values()].map(viewRow).join('')}</tbody></table></div>`;
}

/** Counts are added up; of latencies the worst is shown, of times since when the shortest. */
function viewRow(views: readonly CallerView[]): string {
  const all = views.map(({ endpoint }) => endpoint);
  const [first] = all as [CallerView['endpoint']];
  const sum = (read: (each: CallerView['endpoint']) => number) =>
    all.reduce((total, each) => total + read(each), 0);
  const latencies = all.flatMap(({ latencyMs }) => latencyMs ?? []);
  const latency = latencies.length === 0 ? '–' : time(Math.max(...latencies));
  const callers = listed(views.map(({ caller }) => caller));
  return `<tr><td>${escapeHtml(callers)}</td><td><span class="tone ${endpointTone(first)}">${endpointState(first)}</span></td><td class="n">${span(Math.min(...all.map(({ sinceMs }) => sinceMs)))}</td><td class="n minor">${sum(({ inFlight }) => inFlight)}</td><td class="n">${latency}</td><td class="n minor">${sum(({ faults }) => faults)} of ${sum(({ attempts }) => attempts)}</td><td class="n minor">${sum(({ ejections }) => ejections)}</td><td>${escapeHtml(endpointReason(first))}</td></tr>`;
}

/** Two clicks, the row and the button: what is drained takes no calls until it is brought back. */
function action(name: string, isDraining: boolean): string {
  const [path, word, says] = isDraining
    ? ['undrain', 'Bring back', 'A new process takes over and takes calls.']
    : ['drain', 'Drain', 'It finishes what it has and takes nothing new.'];
  return `<form method="post" action="${path}?sidecar=${encodeURIComponent(name).replaceAll("'", '%27')}"><button>${word} ${escapeHtml(name)}</button><small>${says}</small></form>`;
}
