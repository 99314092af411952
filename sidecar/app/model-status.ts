import type { InboundConfig } from '../config/model.js';
import { GoldenProbes } from '../health/model/golden-probe.js';
import { type ListedModel, listModels } from '../health/model/model-directory.js';
import { ModelHealth, type ModelHealthCounts, type ModelStatusReport } from '../health/model/model-health.js';
import { healthProbe, type ModelProbe } from '../health/model/probe.js';
import type { ModelInstance } from '../inbound/model-instance.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { Metric } from '../telemetry/metric.js';
import { metric, metricsOver } from '../telemetry/metric-rows.js';
import type { AppContext } from './context.js';
import type { HostedModel, ModelHost } from './model-host.js';

/** How often a model without a golden input is probed while no inference succeeds. */
const HEALTH_INTERVAL_MS = 10_000;

interface ModelStatusInput {
  readonly hosted: HostedModel;
  readonly host: ModelHost;
  readonly probe: ModelProbe;
  readonly intervalMs: number;
  onChange(): void;
}

/** The health of one instance of a model, or of a server of another make as a whole. */
class ModelStatus {
  private readonly health: ModelHealth;
  /** Whether it is being probed. */
  hasStarted = false;
  readonly name: string;
  readonly instance: ModelInstance;

  constructor(
    private readonly input: ModelStatusInput,
    { deps: { clock, timers } }: AppContext,
  ) {
    const { hosted, probe, intervalMs } = input;
    const { instance } = hosted;
    this.name = hosted.backend.name;
    this.instance = instance;
    this.health = new ModelHealth({
      clock,
      timers,
      probe,
      intervalMs,
      activity: () => {
        const { succeeded, inFlight, usualMs, lastDeadlineMs } = instance.activity.report();
        return { inferences: succeeded, inFlight, usualMs, lastDeadlineMs };
      },
      phase: () => instance.state,
      onChange: () => input.onChange(),
    });
  }

  /** Starts probing; calling it again does nothing. */
  start(): void {
    if (this.hasStarted) return;
    this.hasStarted = true;
    this.health.start();
  }

  changed(): void {
    this.health.changed();
  }

  /** The reason why a model did not load takes precedence over what probes found. */
  report(): ModelStatusReport {
    const report = this.health.report();
    const why = report.ok ? undefined : this.input.host.whyFailed(this.name);
    return why === undefined ? report : { ok: false, why };
  }

  /** Whether the model serves; undefined while no probe or inference has shown it. */
  serving(): boolean | undefined {
    this.start();
    if (this.instance.state.kind !== 'ready') return false;
    if (this.health.isKnown) return this.health.report().ok;
    // The answer to a probe would come after the work in flight: until then the model counts as serving.
    return this.instance.activity.report().inFlight > 0 ? true : undefined;
  }

  probes(): ModelHealthCounts {
    return this.health.probes();
  }

  close(): void {
    this.health.close();
  }
}

/**
 * The health of every model of this sidecar: for Consul's check, for peers' health checks and for
 * metrics.
 */
export class ModelStatuses {
  /** The models of the golden directory; empty for a server of another make. */
  readonly models: readonly ListedModel[];
  /** Called after every change of a report. */
  onChange: () => void = () => {};
  private readonly statuses: ModelStatus[] = [];
  private isStarted = false;

  /** @throws Error of one line when the golden cards cannot be read. */
  private readonly probeOf: (name: string, host: ModelHost) => ModelProbe;
  private readonly intervalMs: number;

  constructor(
    { golden, local }: InboundConfig,
    hosts: readonly ModelHost[],
    private readonly context: AppContext,
  ) {
    const { deps } = context;
    this.models = golden === undefined ? [] : listModels(golden.models);
    const intervalMs = golden?.intervalMs ?? HEALTH_INTERVAL_MS;
    this.probeOf = (name: string, host: ModelHost): ModelProbe => {
      if (golden === undefined) return healthProbe(local, deps);
      if (name === '') return GoldenProbes.open(golden.models, local, deps);
      const { address, version } = host;
      return GoldenProbes.ofModel(golden.models, { name, version }, address, deps);
    };
    this.intervalMs = intervalMs;
    for (const host of hosts) this.add(host);
  }

  /** The models of one more server. */
  add(host: ModelHost): void {
    const { intervalMs, context } = this;
    for (const hosted of host.hosted) {
      const probe = this.probeOf(hosted.backend.name, host);
      const onChange = () => this.onChange();
      const status = new ModelStatus({ hosted, host, probe, intervalMs, onChange }, context);
      this.statuses.push(status);
      if (this.isStarted) status.start();
    }
  }

  /** The models of a server that is gone. */
  remove(host: ModelHost): void {
    for (const { instance } of host.hosted) {
      const at = this.statuses.findIndex((status) => status.instance === instance);
      if (at >= 0) this.statuses.splice(at, 1)[0]!.close();
    }
  }

  start(): void {
    this.isStarted = true;
    for (const status of this.statuses) status.start();
  }

  /** The process of an instance, or the connection to it, has started or ended. */
  changed(instance: ModelInstance): void {
    for (const status of this.statuses) if (status.instance === instance) status.changed();
  }

  /** Each model, which is ok while one of its instances is. */
  private reports(): readonly ({ readonly name: string } & ModelStatusReport)[] {
    return [...this.byModel()].map(([name, instances]) => {
      const reports = instances.map((status) => status.report());
      return { name, ...(reports.find(({ ok }) => ok) ?? reports[0]!) };
    });
  }

  /** Whether all of these instances have given the golden output, or inferences; undefined: it is not known yet. */
  proven(instances: readonly ModelInstance[]): boolean | undefined {
    const own = this.statuses.filter(({ instance }) => instances.includes(instance));
    const answers = own.map((status) => status.serving());
    if (answers.includes(false)) return false;
    return answers.includes(undefined) || own.length === 0 ? undefined : true;
  }

  private byModel(): ReadonlyMap<string, readonly ModelStatus[]> {
    const byName = new Map<string, ModelStatus[]>();
    for (const status of this.statuses) getOrInsert(byName, status.name, () => []).push(status);
    return byName;
  }

  /** All models together: ok while one is served; `why` names every model that is not. */
  report(): ModelStatusReport {
    const reports = this.reports();
    const out = reports.filter(({ ok }) => !ok);
    if (out.length === 0) return { ok: true, why: '' };
    const why =
      reports.length === 1
        ? out[0]!.why
        : `not served: ${out.map((each) => `${each.name} (${each.why})`).join('; ')}`;
    return { ok: out.length < reports.length, why };
  }

  /**
   * The answer to a peer's health check.
   *
   * @param service name of a model; empty: the server as a whole, which serves while one model
   * does.
   * @returns undefined when the model itself has to answer: the name is unknown here, or nothing
   * has been found yet.
   */
  serving(service: string): boolean | undefined {
    if (service !== '' && !this.has(service)) return undefined;
    const asked = this.statuses.filter(({ name }) => service === '' || name === '' || name === service);
    const answers = asked.map((status) => status.serving());
    if (answers.includes(true)) return true;
    return answers.includes(undefined) || answers.length === 0 ? undefined : false;
  }

  /** Whether a model has this name. */
  has(service: string): boolean {
    return [...this.models, ...this.statuses].some(({ name }) => name === service);
  }

  metrics(): Metric[] {
    const models = [...this.byModel()].filter(([, all]) => all.some(({ hasStarted }) => hasStarted));
    if (models.length === 0) return [];
    const isOnly = this.byModel().size === 1;
    const perModel = metricsOver(
      models,
      ([model]): Readonly<Record<string, string>> => (isOnly ? {} : { model }),
    );
    const probes = perModel.by('result', ['passed', 'failed', 'void'] as const, ([, instances], result) =>
      instances.reduce((sum, status) => sum + status.probes()[result], 0),
    );
    return [
      metric('outrider_model_probes_total', probes),
      perModel.metric('outrider_model_up', ([, instances]) =>
        Number(instances.some((status) => status.report().ok)),
      ),
    ];
  }

  close(): void {
    for (const status of this.statuses) status.close();
  }
}
