import type { Address, SidecarConfig, UpstreamConfig } from '../config/model.js';
import type { NamedVersion } from '../discovery/consul/registered-models.js';
import type { InstanceUpstream, ServiceInstance } from '../discovery/consul/registration/instance.js';
import type { TimeDeps } from '../runtime/deps.js';
import type { InboundSide } from './inbound-side.js';
import { AnnouncedModels } from './models/announced-models.js';

export interface RegistrationDeps {
  /** Version of this program. */
  readonly version: string;
  readonly inbound: InboundSide | undefined;
  /** The upstreams of the configuration in force. */
  upstreams(): readonly UpstreamConfig[];
  /** Listener of each upstream, by name. */
  readonly listeners: Readonly<Record<string, Address>>;
  /** Where the read-only listener is. */
  readonly observe: Address | undefined;
  /** Reasons against readiness in the sidecar itself; the models are reported by `model()`. */
  sidecar(): readonly string[];
  onChange(): void;
  readonly time: TimeDeps;
}

/**
 * This instance as it is registered in Consul: address, models, upstreams, and the state behind its
 * two checks, one for the models and one for the sidecar.
 */
export class ServiceRegistration implements ServiceInstance {
  readonly service = this.config.service;
  readonly instance = this.config.instance;
  readonly version = this.deps.version;
  private readonly announced: AnnouncedModels;

  constructor(
    private readonly config: SidecarConfig,
    private readonly deps: RegistrationDeps,
  ) {
    const { inbound, time, onChange } = deps;
    const read = { models: () => inbound?.served ?? [], states: () => inbound?.lives.summary ?? '' };
    this.announced = new AnnouncedModels(read.models, time, onChange, read.states);
  }

  /** Starts the model probes, as the check needs their result also without traffic, and follows which models there are. */
  start(): void {
    const { inbound, onChange } = this.deps;
    if (inbound === undefined) return;
    inbound.statuses.onChange = onChange;
    inbound.statuses.start();
    inbound.followServed(() => this.announced.look());
    inbound.lives.onChange = () => this.announced.look();
  }

  get models(): readonly NamedVersion[] {
    return this.announced.models;
  }

  get modelStates(): string {
    return this.announced.states;
  }

  get inbound(): Address | undefined {
    return this.deps.inbound?.address;
  }

  get observe(): Address | undefined {
    return this.deps.observe;
  }

  get local(): Address | undefined {
    return this.config.inbound?.local;
  }

  get upstreams(): readonly InstanceUpstream[] {
    return this.deps.upstreams().map(({ name, consul }) => ({
      service: consul?.service ?? name,
      datacenter: consul?.datacenter,
      listen: this.deps.listeners[name],
    }));
  }

  model(): ReturnType<ServiceInstance['model']> {
    return this.deps.inbound?.statuses.report() ?? { ok: true, why: '' };
  }

  sidecar(): readonly string[] {
    return this.deps.sidecar();
  }
}
