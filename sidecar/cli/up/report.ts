import { modelTitle } from '../../telemetry/model-title.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { type OutputStream, type Palette, ProgressLine } from '../terminal.js';
import { type FleetEvent, isReady, type SidecarState } from './fleet-state.js';
import type { MeshReloadOutcome } from './mesh-reload.js';
import { type ConsulFacts, summaryJson, summaryText } from './summary.js';

export interface ReportOptions {
  readonly out: OutputStream;
  readonly palette: Palette;
  /** One JSON object per event instead of text. */
  readonly json: boolean;
  /** Epoch ms, for the time at the start of a line. */
  wallNow(): number;
}

/** Name of the Consul agent in the column of the sidecars' names. */
const CONSUL = 'consul';

/**
 * What `up` prints. While the mesh starts: one progress line, on a terminal only. Then the summary,
 * and one line for each change that matters to the user: a process that ends, is killed or is ready
 * again, a reload, a takeover.
 */
export class UpReport {
  private readonly progress: ProgressLine;
  /** Whether the summary has been printed. */
  private hasStarted = false;
  private nameWidth = CONSUL.length;
  /** The last line of each sidecar and each of its models. */
  private readonly shown = new Map<string, string>();

  constructor(private readonly options: ReportOptions) {
    this.progress = new ProgressLine(options.out);
  }

  event(event: FleetEvent, states: readonly SidecarState[]): void {
    if (this.options.json) return this.printJson(asJson(event));
    if (!this.hasStarted) return this.showProgress(states);
    const { name } = event.state.spec;
    const text = changesOf(event)
      .filter(({ subject, text: now }) => this.isNews(`${name} ${subject}`, now))
      .map(({ text: now }) => now)
      .join('; ');
    if (text !== '') this.printChange(name, this.tint(event, text));
  }

  /** A report may come again for what is not shown, such as a probe that has passed. */
  private isNews(subject: string, text: string): boolean {
    if (subject.endsWith(' ')) return true;
    if (this.shown.get(subject) === text) return false;
    this.shown.set(subject, text);
    return true;
  }

  /** A change of the agent of `--consul dev`. */
  consul(report: ModelReport): void {
    if (this.options.json) return this.printJson({ event: 'consul', process: report });
    if (!this.hasStarted) return this.progress.show('starting: consul');
    const text = processText('agent', report);
    if (text !== undefined && this.isNews(CONSUL, text)) this.printChange(CONSUL, this.tintBy(report, text));
  }

  ready(states: readonly SidecarState[], runDirectory: string, consul?: ConsulFacts): void {
    this.progress.clear();
    this.hasStarted = true;
    for (const { spec, process, model, models } of states) {
      const several = models.length < 2 ? [] : models;
      const reports = [...modelReports({ model, models: several }), { subject: 'sidecar', report: process }];
      for (const { subject, report } of reports)
        this.isNews(`${spec.name} ${subject}`, processText(subject, report) ?? '');
    }
    this.nameWidth = Math.max(CONSUL.length, ...states.map(({ spec }) => spec.name.length));
    if (this.options.json) this.printJson({ event: 'up', runDirectory, ...summaryJson(states), consul });
    else this.print(summaryText(states, consul, this.options.palette));
  }

  /** The outcome of a changed mesh file. */
  reloaded(outcome: MeshReloadOutcome): void {
    const { kind, ...rest } = outcome;
    if (this.options.json) return this.printJson({ event: `mesh-${kind}`, ...rest });
    for (const text of reloadTexts(outcome)) this.printChange('up', text);
  }

  draining(): void {
    this.progress.clear();
    if (this.options.json) this.printJson({ event: 'draining' });
    else this.print('\ndraining; press Ctrl-C again to stop at once');
  }

  /** Everything has ended. */
  stopped(): void {
    if (this.options.json) this.printJson({ event: 'stopped' });
    else this.print('stopped');
  }

  /** Leaves no progress line behind. */
  ended(): void {
    this.progress.clear();
  }

  private showProgress(states: readonly SidecarState[]): void {
    const waiting = states.filter((state) => !isReady(state)).map(({ spec }) => spec.name);
    const names = waiting.length > 0 ? `, waiting for ${waiting.join(', ')}` : '';
    this.progress.show(`starting: ${states.length - waiting.length} of ${states.length} ready${names}`);
  }

  private tint(event: FleetEvent, text: string): string {
    if ('text' in event) return text;
    if (event.kind === 'sidecar') return this.tintBy(event.state.process, text);
    const bad = event.kind === 'model' ? event.changed.find(({ state }) => state !== 'ready') : undefined;
    return this.tintBy(bad ?? event.state.model, text);
  }

  private tintBy(report: ModelReport | undefined, text: string): string {
    const { green, yellow, red } = this.options.palette;
    if (report?.state === 'ready') return green(text);
    return report?.state === 'starting' ? yellow(text) : red(text);
  }

  private printChange(name: string, text: string): void {
    const time = new Date(this.options.wallNow()).toTimeString().slice(0, 8);
    this.print(`${this.options.palette.dim(time)}  ${name.padEnd(this.nameWidth)}  ${text}`);
  }

  private printJson(value: object): void {
    this.print(JSON.stringify(value));
  }

  private print(text: string): void {
    this.options.out.write(`${text}\n`);
  }
}

function reloadTexts(outcome: MeshReloadOutcome): string[] {
  if (outcome.kind === 'refused')
    return [`the changed mesh file is refused, and nothing changes: ${outcome.problem}`];
  if (outcome.kind === 'partly-taken')
    return [...outcome.changed, `the rest of the changed mesh file is not taken over: ${outcome.problem}`];
  const { changed, needsRestart } = outcome;
  const done = changed.length === 0 ? ['the mesh file is taken over; no sidecar is concerned'] : changed;
  if (needsRestart.length === 0) return [...done];
  return [...done, `takes effect when up starts again: ${needsRestart.join(', ')}`];
}

/** What one sentence is about. */
interface Change {
  /** Of the sidecar: itself, or one of its models; empty: something that is said each time. */
  readonly subject: string;
  readonly text: string;
}

/** Nothing for an intermediate step, such as a process that starts. */
function changesOf(event: FleetEvent): Change[] {
  if ('text' in event) return [{ subject: '', text: event.text }];
  if (event.kind === 'readiness') return [];
  const reports =
    event.kind === 'sidecar'
      ? [{ subject: 'sidecar', report: event.state.process }]
      : modelReports({ ...event.state, models: event.state.models.length < 2 ? [] : event.changed });
  return reports.flatMap(({ subject, report }) => {
    const text = processText(subject, report);
    return text === undefined ? [] : [{ subject, text }];
  });
}

/** The one model, or each of several by its name. */
function modelReports({ model, models }: Pick<SidecarState, 'model' | 'models'>) {
  if (models.length === 0) return [{ subject: 'model', report: model }];
  return models.map((report) => ({ subject: `model ${modelTitle(report)}`, report }));
}

function processText(name: string, report: ModelReport | undefined): string | undefined {
  const pid = report?.pid === undefined ? '' : ` (process ${report.pid})`;
  switch (report?.state) {
    case 'ready':
      return `${name} ready${pid}`;
    case 'unresponsive':
      return `${name}${pid} is killed: ${report.why}`;
    case 'backoff':
    case 'given-up':
    case 'failed':
      return `${name} down: ${report.why}`;
    default:
      return undefined;
  }
}

function asJson(event: FleetEvent): object {
  const { spec, process, model, models, notReady } = event.state;
  return {
    event: event.kind,
    name: spec.name,
    service: spec.service,
    process,
    model,
    ...(models.length < 2 ? {} : { models }),
    notReady,
    ready: isReady(event.state),
    ...('text' in event ? { text: event.text } : {}),
  };
}
