/**
 * What a registry is told of this instance: where it is, which models it serves, and whether they and the sidecar itself
 * are fit to serve.
 */

import type { Address, SidecarConfig, UpstreamConfig } from '../config/model.js';
import type { InstanceUpstream, ServiceInstance } from '../discovery/consul/registration/registration.js';
import type { ListedModel } from '../health/model/model-directory.js';
import type { AppContext } from './context.js';
import type { InboundSide } from './inbound-side.js';

export interface RegistrationDeps {
  readonly inbound: InboundSide | undefined;
  /** As they are configured now. */
  upstreams(): readonly UpstreamConfig[];
  /** By upstream, where the application calls it. */
  readonly listeners: Readonly<Record<string, Address>>;
  /** Why the sidecar cannot serve; its model is judged apart. */
  sidecar(): readonly string[];
  onChange(): void;
}

export class ServiceRegistration implements ServiceInstance {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly models: readonly ListedModel[];

  constructor(
    private readonly config: SidecarConfig,
    private readonly deps: RegistrationDeps,
    context: AppContext,
  ) {
    this.service = config.service;
    this.instance = config.instance;
    this.version = context.deps.version;
    this.models = deps.inbound?.statuses.models ?? [];
  }

  start(): void {
    const { inbound, onChange } = this.deps;
    if (inbound === undefined) return;
    inbound.statuses.onChange = onChange;
    inbound.statuses.start();
  }

  get inbound(): Address | undefined {
    return this.deps.inbound?.address;
  }

  get local(): Address | undefined {
    return this.config.inbound?.local;
  }

  get upstreams(): readonly InstanceUpstream[] {
    return this.deps.upstreams().map(({ name, consul }) => ({
      name,
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
