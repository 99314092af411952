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
    readonly slot: ModelBackend,
    private readonly whyFailed: () => string | undefined,
    probe: ModelProbe,
    intervalMs: number,
    parts: AppContext,
    onChange: () => void,
  ) {
    const { clock, timers } = parts.deps;
    this.health = new ModelHealth({
      clock,
      timers,
      probe,
      intervalMs,
      signs: () => {
        const { succeeded, inFlight, usualMs, lastDeadlineMs } = slot.runs.activity();
        return { inferences: succeeded, inFlight, usualMs, lastDeadlineMs };
      },
      phase: () => slot.state,
      onChange,
    });
  }

  /** Calling it again does nothing. */
  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.health.start();
  }

  get isWatching(): boolean {
    return this.isStarted;
  }

  changed(): void {
    this.health.changed();
  }

  verdict(): ModelStatusReport {
    const verdict = this.health.verdict();
    const why = verdict.ok ? undefined : this.whyFailed();
    return why === undefined ? verdict : { ok: false, why };
  }

  /** Undefined: nothing is known of it yet. */
  serving(): boolean | undefined {
    this.start();
    if (this.slot.state.kind !== 'ready') return false;
    if (this.health.isJudged) return this.health.verdict().ok;
    // Its own answer would come after its work: while there is some, it has the benefit of the doubt.
    return this.slot.runs.activity().inFlight > 0 ? true : undefined;
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
  private readonly watches: readonly ModelStatus[];

  /** @throws Error of one line when the golden cards cannot be read. */
  constructor({ golden, local }: InboundConfig, hosts: readonly ModelHost[], parts: AppContext) {
    const { timers } = parts.deps;
    this.models = golden === undefined ? [] : listModels(golden.models);
    const intervalMs = golden?.intervalMs ?? HEALTH_INTERVAL_MS;
    const probeOf = ({ name }: ModelBackend, host: ModelHost): ModelProbe => {
      if (golden === undefined) return healthProbe(local, timers);
      if (name === '') return GoldenProbes.open(golden.models, local, timers);
      return GoldenProbes.ofModel(golden.models, name, host.address, timers);
    };
    this.watches = hosts.flatMap((host) =>
      host.slots.map(
        (slot) =>
          new ModelStatus(
            slot,
            () => host.whyFailed(slot),
            probeOf(slot, host),
            intervalMs,
            parts,
            () => this.onChange(),
          ),
      ),
    );
  }

  start(): void {
    for (const watch of this.watches) watch.start();
  }

  /** A model's process, or the connection to it, came or went. */
  changed(slot: ModelBackend): void {
    for (const watch of this.watches) if (watch.slot === slot) watch.changed();
  }

  /** As good as the best of them; those that are not served are named all the same. */
  verdict(): ModelStatusReport {
    const verdicts = this.watches.map((watch) => ({ name: watch.slot.name, ...watch.verdict() }));
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
    const asked = this.watches.filter(
      ({ slot }) => service === '' || slot.name === '' || slot.name === service,
    );
    const answers = asked.map((watch) => watch.serving());
    if (answers.includes(true)) return true;
    return answers.includes(undefined) || answers.length === 0 ? undefined : false;
  }

  metrics(): Metric[] {
    const watches = this.watches.filter(({ isWatching }) => isWatching);
    if (watches.length === 0) return [];
    const labelsOf = ({ slot }: ModelStatus): Readonly<Record<string, string>> =>
      this.watches.length === 1 ? {} : { model: slot.name };
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
        samples: watches.map((watch) => ({ labels: labelsOf(watch), value: watch.verdict().ok ? 1 : 0 })),
      },
    ];
  }

  close(): void {
    for (const watch of this.watches) watch.close();
  }
}
