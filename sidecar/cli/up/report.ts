import type { ModelReport } from '../../telemetry/reports.js';
import { packageFile } from '../package-file.js';
import { type OutputStream, type Palette, ProgressLine, table } from '../terminal.js';
import { adminAddress, callAddresses, callerOf, inboundAddress } from './addresses.js';
import { type FleetEvent, isReady, type SidecarState } from './fleet.js';
import type { MeshReloadOutcome } from './mesh-reload.js';
import type { SidecarSpec } from './plan.js';
import { cannotServe } from './readiness.js';

export interface ReportOptions {
  readonly out: OutputStream;
  readonly palette: Palette;
  readonly json: boolean;
  /** Epoch milliseconds, for the stamp of a line. */
  wallNow(): number;
}

/** The registry of a mesh that has one. */
export interface ConsulFacts {
  /** Of the agent, as a URL. */
  readonly address: string;
  /** Known for an agent of our own. */
  readonly ui?: string;
  readonly pid?: number;
}

/** How the agent of our own is called where others have the names of their specs. */
const CONSUL = 'consul';

export class UpReport {
  private readonly progress: ProgressLine;
  private announced = false;
  /** Of the names in front of what is told later. */
  private nameWidth = CONSUL.length;

  constructor(private readonly options: ReportOptions) {
    this.progress = new ProgressLine(options.out);
  }

  /** While the mesh starts this draws progress; later it prints what a reader must know. */
  event(news: FleetEvent, states: readonly SidecarState[]): void {
    if (this.options.json) this.line(JSON.stringify(asJson(news)));
    else if (!this.announced) this.showProgress(states);
    else {
      const text = sentence(news);
      if (text !== undefined) this.printChange(news.state.spec.name, this.tint(news, text));
    }
  }

  /** The agent of our own: its life is told as that of a sidecar is. */
  consul(report: ModelReport): void {
    if (this.options.json) this.line(JSON.stringify({ event: 'consul', process: report }));
    else if (!this.announced) this.progress.show('starting: consul');
    else {
      const text = lifeOf('agent', report);
      if (text !== undefined) this.printChange(CONSUL, this.coloured(report, text));
    }
  }

  ready(states: readonly SidecarState[], runDirectory: string, consul?: ConsulFacts): void {
    this.progress.clear();
    this.announced = true;
    this.nameWidth = Math.max(CONSUL.length, ...states.map((state) => state.spec.name.length));
    if (this.options.json)
      this.line(JSON.stringify({ event: 'up', runDirectory, ...summary(states), consul }));
    else this.line(readyText(states, consul, this.options.palette));
  }

  /** What became of a changed mesh file. */
  reloaded(outcome: MeshReloadOutcome): void {
    const { kind, ...rest } = outcome;
    if (this.options.json) return this.line(JSON.stringify({ event: `mesh-${kind}`, ...rest }));
    for (const text of reloadTexts(outcome)) this.printChange('up', text);
  }

  draining(): void {
    this.progress.clear();
    if (this.options.json) this.line(JSON.stringify({ event: 'draining' }));
    else this.line('\ndraining; press Ctrl-C again to stop at once');
  }

  ended(): void {
    this.progress.clear();
  }

  private showProgress(states: readonly SidecarState[]): void {
    const done = states.filter(isReady).length;
    const waiting = states.filter((state) => !isReady(state)).map((state) => state.spec.name);
    this.progress.show(
      `starting: ${done} of ${states.length} ready${waiting.length > 0 ? `, waiting for ${waiting.join(', ')}` : ''}`,
    );
  }

  private tint(news: FleetEvent, text: string): string {
    if ('text' in news) return text;
    if (news.kind === 'sidecar') return this.coloured(news.state.process, text);
    const bad = news.kind === 'model' ? news.changed.find(({ state }) => state !== 'ready') : undefined;
    return this.coloured(bad ?? news.state.model, text);
  }

  private coloured(of: ModelReport | undefined, text: string): string {
    const { green, yellow, red } = this.options.palette;
    if (of?.state === 'ready') return green(text);
    return of?.state === 'starting' ? yellow(text) : red(text);
  }

  private printChange(name: string, text: string): void {
    this.line(`${this.stamp()}  ${name.padEnd(this.nameWidth)}  ${text}`);
  }

  private stamp(): string {
    const time = new Date(this.options.wallNow());
    return this.options.palette.dim(time.toTimeString().slice(0, 8));
  }

  private line(text: string): void {
    this.options.out.write(`${text}\n`);
  }
}

function reloadTexts(outcome: MeshReloadOutcome): string[] {
  if (outcome.kind === 'refused')
    return [`the changed mesh file is refused, and nothing changes: ${outcome.problem}`];
  const { changed, needsRestart } = outcome;
  const later =
    needsRestart.length === 0 ? [] : [`takes effect when up starts again: ${needsRestart.join(', ')}`];
  return [
    ...(changed.length === 0 ? ['the mesh file is taken over; no sidecar is concerned'] : changed),
    ...later,
  ];
}

/** Undefined when the change is a step on the way that tells a reader nothing. */
function sentence(news: FleetEvent): string | undefined {
  if ('text' in news) return news.text;
  if (news.kind === 'readiness') return undefined;
  if (news.kind === 'sidecar') return lifeOf('sidecar', news.state.process);
  const { model, models } = news.state;
  if (models.length < 2) return lifeOf('model', model);
  const parts = news.changed.flatMap((each) => lifeOf(`model ${each.name}`, each) ?? []);
  return parts.length === 0 ? undefined : parts.join('; ');
}

function lifeOf(what: string, of: ModelReport | undefined): string | undefined {
  const pid = of?.pid === undefined ? '' : ` (process ${of.pid})`;
  switch (of?.state) {
    case 'ready':
      return `${what} ready${pid}`;
    case 'unresponsive':
      return `${what}${pid} is killed: ${of.why}`;
    case 'backoff':
    case 'given-up':
    case 'failed':
      return `${what} down: ${of.why}`;
    default:
      return undefined;
  }
}

function asJson(news: FleetEvent): unknown {
  const { spec, process, model, models, notReady } = news.state;
  const text = 'text' in news ? { text: news.text } : {};
  return {
    event: news.kind,
    name: spec.name,
    service: spec.service,
    process,
    model,
    ...(models.length < 2 ? {} : { models }),
    notReady,
    ready: isReady(news.state),
    ...text,
  };
}

function summary(states: readonly SidecarState[]): object {
  const caller = callerOf(states.map((state) => state.spec));
  return {
    call: callAddresses(caller),
    admin: adminAddress(caller),
    sidecars: states.map(({ spec, process, model, models }) => ({
      name: spec.name,
      service: spec.service,
      role: spec.role,
      pid: process.pid,
      modelPid: model?.pid,
      ...(models.length < 2 ? {} : { models }),
      inbound: inboundAddress(spec),
      admin: adminAddress(spec),
      log: `${spec.folder}/log`,
    })),
  };
}

function readyText(
  states: readonly SidecarState[],
  consul: ConsulFacts | undefined,
  palette: Palette,
): string {
  const rows = states.map((state) => {
    const { spec } = state;
    return [
      spec.service,
      spec.role === 'caller' ? 'caller' : spec.name,
      stateOf(state, palette),
      inboundAddress(spec) ?? '',
      `http://${adminAddress(spec)}/`,
      processesOf(state),
    ];
  });
  const caller = callerOf(states.map((state) => state.spec));
  const call = Object.entries(callAddresses(caller));
  const lines = [
    table(['service', 'replica', 'state', 'inbound', 'admin', 'model process'], rows, palette),
    '',
    ...states.flatMap((state) => notServed(state).map((line) => palette.red(line))),
    ...call.map(
      ([name, address]) =>
        `call ${palette.bold(name)} at ${palette.bold(address)}  (plaintext gRPC; the mesh does the rest)`,
    ),
    `look at http://${adminAddress(caller)}/ or run: npx outrider status --watch`,
    ...consulLine(consul),
    ...inferLine(caller),
    'Ctrl-C drains and stops everything',
  ];
  return lines.join('\n');
}

function stateOf(state: SidecarState, palette: Palette): string {
  if (isReady(state)) return palette.green('ready');
  if (cannotServe(state)) return palette.red('serves nothing');
  return palette.yellow(state.process.state);
}

/** The process of the model; of several, with the name of each, unless one process serves them all. */
function processesOf({ model, models }: SidecarState): string {
  if (model?.pid !== undefined || models.length < 2) return model?.pid === undefined ? '' : String(model.pid);
  return models.flatMap(({ name, pid }) => (pid === undefined ? [] : [`${name} ${pid}`])).join(', ');
}

/** What a replica was to serve and does not, a line each. */
function notServed({ spec, model, models }: SidecarState): string[] {
  const all = models.length === 0 && model !== undefined ? [model] : models;
  return all
    .filter(({ state }) => state === 'failed' || state === 'given-up' || state === 'backoff')
    .map(
      ({ name, why }) =>
        `NOT SERVED: ${name === undefined ? 'the model' : `model ${name}`} of ${spec.name}: ${why}`,
    );
}

function consulLine(consul: ConsulFacts | undefined): string[] {
  if (consul === undefined) return [];
  if (consul.ui === undefined) return [`registered with Consul at ${consul.address}`];
  return [
    `look at ${consul.ui} for Consul's own view (its command line: CONSUL_HTTP_ADDR=${consul.address})`,
  ];
}

const SAMPLE = 'services/digits/samples/seven.png';

/** The line that can be pasted: only for a mesh that serves our digits. */
function inferLine(caller: SidecarSpec): string[] {
  const address = callAddresses(caller)['digits'];
  if (address === undefined) return [];
  return ['try it:', `  npx outrider infer digits --input @${packageFile(SAMPLE)} --target ${address}`];
}
