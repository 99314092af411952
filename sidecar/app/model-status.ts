import type { InboundConfig } from '../config/model.js';
import { GoldenProbes } from '../health/model/golden-probe.js';
import { type ListedModel, listModels } from '../health/model/model-directory.js';
import { ModelHealth, type ModelHealthCounts, type ModelStatusReport } from '../health/model/model-health.js';
import { healthProbe, type ModelProbe } from '../health/model/probe.js';
import type { ModelBackend } from '../inbound/model-backend.js';
import type { Metric } from '../telemetry/metric.js';
import type { AppContext } from './context.js';
import type { ModelHost } from './model-host.js';

/** How often a model without golden cards is asked, while no inference went through. */
const HEALTH_INTERVAL_MS = 10_000;

/** One model, or a server that is not asked which. */
class ModelStatus {
  private readonly health: ModelHealth;
  private isStarted = false;

  constructor(
    readonly backend: ModelBackend,
    private readonly whyFailed: () => string | undefined,
    probe: ModelProbe,
    intervalMs: number,
    context: AppContext,
    onChange: () => void,
  ) {
    const { clock, timers } = context.deps;
    this.health = new ModelHealth({
      clock,
      timers,
      probe,
      intervalMs,
      activity: () => {
        const { succeeded, inFlight, usualMs, lastDeadlineMs } = backend.activity.report();
        return { inferences: succeeded, inFlight, usualMs, lastDeadlineMs };
      },
      phase: () => backend.state,
      onChange,
    });
  }

  /** Calling it again does nothing. */
  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.health.start();
  }

  get hasStarted(): boolean {
    return this.isStarted;
  }

  changed(): void {
    this.health.changed();
  }

  report(): ModelStatusReport {
    const verdict = this.health.report();
    const why = verdict.ok ? undefined : this.whyFailed();
    return why === undefined ? verdict : { ok: false, why };
  }

  /** Undefined: nothing is known of it yet. */
  serving(): boolean | undefined {
    this.start();
    if (this.backend.state.kind !== 'ready') return false;
    if (this.health.isKnown) return this.health.report().ok;
    // Its own answer would come after its work: while there is some, it has the benefit of the doubt.
    return this.backend.activity.report().inFlight > 0 ? true : undefined;
  }

  probes(): ModelHealthCounts {
    return this.health.probes();
  }

  close(): void {
    this.health.close();
  }
}

export class ModelStatuses {
  /** Known by their cards. */
  readonly models: readonly ListedModel[];
  /** Called after every change of a verdict. */
  onChange: () => void = () => {};
  private readonly statuses: readonly ModelStatus[];

  /** @throws Error of one line when the golden cards cannot be read. */
  constructor({ golden, local }: InboundConfig, hosts: readonly ModelHost[], context: AppContext) {
    const { timers } = context.deps;
    this.models = golden === undefined ? [] : listModels(golden.models);
    const intervalMs = golden?.intervalMs ?? HEALTH_INTERVAL_MS;
    const probeOf = ({ name }: ModelBackend, host: ModelHost): ModelProbe => {
      if (golden === undefined) return healthProbe(local, timers);
      if (name === '') return GoldenProbes.open(golden.models, local, timers);
      return GoldenProbes.ofModel(golden.models, name, host.address, timers);
    };
    this.statuses = hosts.flatMap((host) =>
      host.backends.map(
        (backend) =>
          new ModelStatus(
            backend,
            () => host.whyFailed(backend),
            probeOf(backend, host),
            intervalMs,
            context,
            () => this.onChange(),
          ),
      ),
    );
  }

  start(): void {
    for (const watch of this.statuses) watch.start();
  }

  /** A model's process, or the connection to it, came or went. */
  changed(backend: ModelBackend): void {
    for (const watch of this.statuses) if (watch.backend === backend) watch.changed();
  }

  /** As good as the best of them; those that are not served are named all the same. */
  report(): ModelStatusReport {
    const verdicts = this.statuses.map((watch) => ({ name: watch.backend.name, ...watch.report() }));
    const out = verdicts.filter(({ ok }) => !ok);
    if (out.length === 0) return { ok: true, why: '' };
    const why =
      verdicts.length === 1
        ? out[0]!.why
        : `not served: ${out.map((each) => `${each.name} (${each.why})`).join('; ')}`;
    return { ok: out.length < verdicts.length, why };
  }

  /**
   * What a peer is told of this service; undefined: the model has to say it itself, because it is not known by that name,
   * or nothing is known of it yet.
   * @param service empty: the server as a whole, which serves as long as it serves one model.
   */
  serving(service: string): boolean | undefined {
    if (service !== '' && !this.models.some(({ name }) => name === service)) return undefined;
    const asked = this.statuses.filter(
      ({ backend }) => service === '' || backend.name === '' || backend.name === service,
    );
    const answers = asked.map((watch) => watch.serving());
    if (answers.includes(true)) return true;
    return answers.includes(undefined) || answers.length === 0 ? undefined : false;
  }

  metrics(): Metric[] {
    const watches = this.statuses.filter(({ hasStarted }) => hasStarted);
    if (watches.length === 0) return [];
    const labelsOf = ({ backend }: ModelStatus): Readonly<Record<string, string>> =>
      this.statuses.length === 1 ? {} : { model: backend.name };
    return [
      {
        kind: 'counter',
        name: 'outrider_model_probes_total',
        help: 'Direct questions to an idle model, by what came of them; void: our own process stood still, or the model was at work.',
        samples: watches.flatMap((watch) => {
          const { passed, failed, void: silent } = watch.probes();
          return Object.entries({ passed, failed, void: silent }).map(([result, value]) => ({
            labels: { ...labelsOf(watch), result },
            value,
          }));
        }),
      },
      {
        kind: 'gauge',
        name: 'outrider_model_up',
        help: '1 while inferences or the golden input show that the model answers.',
        samples: watches.map((watch) => ({ labels: labelsOf(watch), value: watch.report().ok ? 1 : 0 })),
      },
    ];
  }

  close(): void {
    for (const watch of this.statuses) watch.close();
  }
}
