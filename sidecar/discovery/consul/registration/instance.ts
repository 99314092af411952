import type { Address } from '../../../config/model.js';
import type { NamedVersion } from '../registered-models.js';

/** The instance that is registered. Read anew each time, so that getters return what has changed since. */
export interface ServiceInstance {
  readonly service: string;
  readonly instance: string;
  /** The version of Outrider. */
  readonly version: string;
  /** Where peers call; absent where the sidecar only calls others. */
  readonly inbound?: Address | undefined;
  /** Where the model service listens. */
  readonly local?: Address | undefined;
  /** Where metrics are served to other machines; absent: nowhere. */
  readonly observe?: Address | undefined;
  readonly upstreams: readonly InstanceUpstream[];
  /** A model stands there once for each of its versions. */
  readonly models: readonly NamedVersion[];
  /** Where each version stands, `NAME:VERSION=STATE …`; absent or empty: not known. For people: nothing reads it. */
  readonly modelStates?: string;
  /**
   * Whether the model answers (app/model-status.ts `report`): taken at its word, so it has to be steady already. `ok` with a
   * reason: of several models, some do, and the reason names those that do not.
   */
  model(): { readonly ok: boolean; readonly why: string };
  /** Why the sidecar cannot serve; empty: it can. Flapping is damped by the check. */
  sidecar(): readonly string[];
}

/** An upstream of an instance, as it is shown in Consul. */
export interface InstanceUpstream {
  readonly service: string;
  readonly datacenter?: string | undefined;
  readonly listen?: Address | undefined;
}

/** The ids of an instance in the agent. */
export interface Ids {
  readonly service: string;
  readonly proxy: string;
  readonly serviceCheck: string;
  readonly proxyCheck: string;
  readonly aliasCheck: string;
}

/** `<service>-<instance>`, or the instance alone where it begins with the service. */
export function idsOf({ service, instance }: Pick<ServiceInstance, 'service' | 'instance'>): Ids {
  const own =
    instance === service || instance.startsWith(`${service}-`) ? instance : `${service}-${instance}`;
  const proxy = `${own}-sidecar-proxy`;
  return {
    service: own,
    proxy,
    serviceCheck: `${own}:health`,
    proxyCheck: `${proxy}:health`,
    aliasCheck: `${proxy}:service`,
  };
}
