/**
 * What a registry is told of this instance: where it is, which models it serves, and whether they and the sidecar itself
 * are fit to serve. Whether the model answers is watched here, by its inferences and by its golden input.
 */

import type { Family } from '../admin/view.js';
import type { Address, SidecarConfig, UpstreamConfig } from '../config/model.js';
import type { Registrant, RegistrantUpstream } from '../discovery/consul/registration.js';
import { GoldenProbes } from '../health/golden-probe.js';
import { type ListedModel, listModels } from '../health/list-models.js';
import { ModelHealth } from '../health/model-health.js';
import { healthProbe } from '../health/model-probe.js';
import type { InboundSide } from './inbound-side.js';
import type { Parts } from './parts.js';

/** How often a model without golden cards is asked, while no inference went through. */
const HEALTH_INTERVAL_MS = 10_000;

export interface EntryTies {
  readonly inbound: InboundSide | undefined;
  /** As they are configured now. */
  upstreams(): readonly UpstreamConfig[];
  /** By upstream, where the application calls it. */
  readonly listeners: Readonly<Record<string, Address>>;
  /** Why the sidecar cannot serve; its model is judged apart. */
  sidecar(): readonly string[];
  onChange(): void;
}

export class CatalogueEntry implements Registrant {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly models: readonly ListedModel[];
  private readonly health: ModelHealth | undefined;

  /** @throws Error of one line when the golden cards cannot be read. */
  constructor(
    private readonly config: SidecarConfig,
    private readonly ties: EntryTies,
    parts: Parts,
  ) {
    this.service = config.service;
    this.instance = config.instance;
    this.version = parts.deps.version;
    const { golden } = config.inbound ?? {};
    this.models = golden === undefined ? [] : listModels(golden.models);
    this.health = ties.inbound && this.watchModel(ties.inbound, parts);
  }

  private watchModel(side: InboundSide, parts: Parts): ModelHealth {
    const { clock, timers } = parts.deps;
    const { golden, local } = this.config.inbound!;
    const { inbound } = side;
    return new ModelHealth({
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
      onChange: () => this.ties.onChange(),
    });
  }

  start(): void {
    this.health?.start();
  }

  /** The model's process came or went. */
  modelChanged(): void {
    this.health?.changed();
  }

  get inbound(): Address | undefined {
    return this.ties.inbound?.address;
  }

  get local(): Address | undefined {
    return this.config.inbound?.local;
  }

  get upstreams(): readonly RegistrantUpstream[] {
    return this.ties.upstreams().map(({ name, discovery }) => ({
      name,
      service: discovery?.service ?? name,
      datacenter: discovery?.datacenter,
      listen: this.ties.listeners[name],
    }));
  }

  model(): { readonly ok: boolean; readonly why: string } {
    return this.health?.verdict() ?? { ok: true, why: '' };
  }

  sidecar(): readonly string[] {
    return this.ties.sidecar();
  }

  families(): Family[] {
    if (this.health === undefined) return [];
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
    this.health?.close();
  }
}
