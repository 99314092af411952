/**
 * From a spelled sidecar file to the SidecarConfig that the rest of the sidecar reads.
 */
import type { z } from 'zod';
import { addressFrom, pathFrom, present } from './build-basics.js';
import { buildConsul, plainDiscovery } from './build-consul.js';
import { buildObservation, buildQueue, buildRateLimits } from './build-decisions.js';
import {
  buildInboundRoutes,
  buildIntentions,
  buildLimits,
  buildModelProcess,
  buildShared,
  buildUpstream,
} from './build-parts.js';
import { writeAddress } from './codecs/address.js';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from './defaults.js';
import type {
  EndpointConfig,
  IdentityConfig,
  InboundConfig,
  ModelProcessConfig,
  OutboundConfig,
  SidecarConfig,
} from './model.js';
import type { SidecarFile } from './options/sidecar-file.js';
import type { sidecarUpstream } from './options/upstream.js';

export function buildSidecar(said: SidecarFile, baseDir: string): SidecarConfig {
  return {
    service: said.service,
    instance: said.instance ?? `${said.service}-1`,
    trustDomain: said.trust_domain ?? DEFAULT_TRUST_DOMAIN,
    datacenter: said.datacenter ?? DEFAULT_DATACENTER,
    identity: buildIdentity(said, baseDir),
    ...present('consul', said.consul && buildConsul(said.consul, baseDir)),
    ...present('admin', said.admin && addressFrom(baseDir, said.admin)),
    ...present('inbound', buildInbound(said.inbound, baseDir)),
    ...present('outbound', buildOutbound(said.outbound, said.consul !== undefined, baseDir)),
    ...present('model', buildModel(said.model)),
    limits: buildLimits(said.limits),
    drainTimeoutMs: said.drain_timeout,
    log: { level: said.log.level },
    ...buildObservation(said, baseDir),
  };
}

function buildIdentity({ identity, consul }: SidecarFile, baseDir: string): IdentityConfig {
  if (identity === undefined) return { kind: consul === undefined ? 'none' : 'consul' };
  return {
    kind: 'files',
    cert: pathFrom(baseDir, identity.cert),
    key: pathFrom(baseDir, identity.key),
    roots: pathFrom(baseDir, identity.roots),
  };
}

function buildInbound(said: SidecarFile['inbound'], baseDir: string): InboundConfig | undefined {
  if (said === undefined) return undefined;
  return {
    listen: addressFrom(baseDir, said.listen),
    mtls: said.mtls,
    local: addressFrom(baseDir, said.local),
    intentions: buildIntentions(said.intentions ?? []),
    defaultIntention: said.default_intention ?? 'deny',
    ...present(
      'golden',
      said.golden && { models: pathFrom(baseDir, said.golden.models), intervalMs: said.golden.interval },
    ),
    queue: buildQueue(said.queue),
    ...present('rateLimits', buildRateLimits(said.rate_limits)),
    routes: buildInboundRoutes(said.routes),
  };
}

function buildOutbound(
  said: SidecarFile['outbound'],
  onConsul: boolean,
  baseDir: string,
): OutboundConfig | undefined {
  if (said === undefined) return undefined;
  return {
    upstreams: Object.entries(said.upstreams).map(([name, upstream]) => ({
      ...(onConsul && upstream.endpoints === undefined ? { consul: plainDiscovery(name) } : {}),
      ...buildUpstream(name, upstream, baseDir),
      endpoints: (upstream.endpoints ?? []).map((endpoint) => buildEndpoint(endpoint, baseDir)),
    })),
    ...present('shared', buildShared(said.shared, baseDir)),
  };
}

function buildEndpoint(
  said: NonNullable<z.output<typeof sidecarUpstream>['endpoints']>[number],
  baseDir: string,
): EndpointConfig {
  if ('kind' in said) return buildEndpoint({ address: said, weight: 1 }, baseDir);
  const { weight, locality, id } = said;
  const address = addressFrom(baseDir, said.address);
  return { address, weight, ...present('locality', locality), id: id ?? writeAddress(address) };
}

function buildModel(said: SidecarFile['model']): ModelProcessConfig | undefined {
  if (said === undefined) return undefined;
  return {
    command: said.command ?? [],
    ...present('isolation', said.isolation),
    ...buildModelProcess(said),
  };
}
