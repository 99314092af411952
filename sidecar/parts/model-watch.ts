/**
 * Whether the local model answers, for whoever wants to know: the registry's entry, and peers that check this endpoint.
 * Nothing is watched before somebody does.
 */

import type { Family } from '../admin/view.js';
import type { InboundConfig } from '../config/model.js';
import { GoldenProbes } from '../health/golden-probe.js';
import { type ListedModel, listModels } from '../health/list-models.js';
import { ModelHealth, type ModelVerdict } from '../health/model-health.js';
import { healthProbe } from '../health/model-probe.js';
import type { Inbound } from '../inbound.js';
import type { Parts } from './parts.js';

/** How often a model without golden cards is asked, while no inference went through. */
const HEALTH_INTERVAL_MS = 10_000;

export class ModelWatch {
  /** Known by their cards. */
  readonly models: readonly ListedModel[];
  /** Called after every change of the verdict. */
  onChange: () => void = () => {};
  private readonly health: ModelHealth;
  private isStarted = false;

  /** @throws Error of one line when the golden cards cannot be read. */
  constructor(
    { golden, local }: InboundConfig,
    private readonly inbound: Inbound,
    parts: Parts,
  ) {
    const { clock, timers } = parts.deps;
    this.models = golden === undefined ? [] : listModels(golden.models);
    this.health = new ModelHealth({
      clock,
      timers,
      probe:
        golden === undefined ? healthProbe(local, timers) : GoldenProbes.open(golden.models, local, timers),
      intervalMs: golden?.intervalMs ?? HEALTH_INTERVAL_MS,
      signs: () => {
        const { succeeded, inFlight, usualMs } = inbound.evidence();
        return { inferences: succeeded, inFlight, usualMs };
      },
      phase: () => inbound.modelState,
      onChange: () => this.onChange(),
    });
  }

  /** Calling it again does nothing. */
  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.health.start();
  }

  /** The model's process, or the connection to it, came or went. */
  changed(): void {
    this.health.changed();
  }

  verdict(): ModelVerdict {
    return this.health.verdict();
  }

  /**
   * What a peer is told of this service; undefined: the model has to say it itself, because it is not known by that name,
   * or nothing is known of it yet.
   * @param service empty: the server as a whole.
   */
  serving(service: string): boolean | undefined {
    if (service !== '' && !this.models.some(({ name }) => name === service)) return undefined;
    this.start();
    if (this.inbound.modelState.kind !== 'ready') return false;
    if (this.health.isJudged) return this.health.verdict().ok;
    // Its own answer would come after its work: while there is some, it has the benefit of the doubt.
    return this.inbound.evidence().inFlight > 0 ? true : undefined;
  }

  families(): Family[] {
    if (!this.isStarted) return [];
    const { passed, failed, void: silent } = this.health.probes();
    const counts = { passed, failed, void: silent };
    return [
      {
        kind: 'counter',
        name: 'outrider_model_probes_total',
        help: 'Direct questions to an idle model, by what came of them; void: our own process stood still.',
        samples: Object.entries(counts).map(([result, value]) => ({ labels: { result }, value })),
      },
      {
        kind: 'gauge',
        name: 'outrider_model_answers',
        help: '1 while inferences or the golden input show that the model answers.',
        samples: [{ labels: {}, value: this.health.verdict().ok ? 1 : 0 }],
      },
    ];
  }

  close(): void {
    this.health.close();
  }
}
