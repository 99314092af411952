/**
 * From a spelled sidecar file to the SidecarConfig that the rest of the sidecar reads.
 */
import type { z } from 'zod';
import {
  addressFrom,
  buildInboundRoutes,
  buildIntentions,
  buildLimits,
  buildModelProcess,
  buildQueue,
  buildShared,
  buildUpstream,
  pathFrom,
  present,
} from './build-parts.js';
import type {
  EndpointConfig,
  IdentityConfig,
  InboundConfig,
  ModelProcessConfig,
  OutboundConfig,
  SidecarConfig,
} from './model.js';
import type { SidecarFile } from './schema/sidecar-file.js';
import type { sidecarUpstream } from './schema/upstream.js';
import { writeAddress } from './spelling/address.js';

export function buildSidecar(said: SidecarFile, baseDir: string): SidecarConfig {
  return {
    service: said.service,
    instance: said.instance ?? `${said.service}-1`,
    trustDomain: said.trust_domain,
    datacenter: said.datacenter,
    identity: buildIdentity(said.identity, baseDir),
    ...present('admin', said.admin && addressFrom(baseDir, said.admin)),
    ...present('inbound', buildInbound(said.inbound, baseDir)),
    ...present('outbound', buildOutbound(said.outbound, baseDir)),
    ...present('model', buildModel(said.model)),
    limits: buildLimits(said.limits),
    drainTimeoutMs: said.drain_timeout,
    log: { level: said.log.level },
  };
}

function buildIdentity(said: SidecarFile['identity'], baseDir: string): IdentityConfig {
  if (said === undefined) return { kind: 'none' };
  return {
    kind: 'files',
    cert: pathFrom(baseDir, said.cert),
    key: pathFrom(baseDir, said.key),
    roots: pathFrom(baseDir, said.roots),
  };
}

function buildInbound(said: SidecarFile['inbound'], baseDir: string): InboundConfig | undefined {
  if (said === undefined) return undefined;
  return {
    listen: addressFrom(baseDir, said.listen),
    mtls: said.mtls,
    local: addressFrom(baseDir, said.local),
    intentions: buildIntentions(said.intentions),
    defaultIntention: said.default_intention,
    queue: buildQueue(said.queue),
    routes: buildInboundRoutes(said.routes),
  };
}

function buildOutbound(said: SidecarFile['outbound'], baseDir: string): OutboundConfig | undefined {
  if (said === undefined) return undefined;
  return {
    upstreams: Object.entries(said.upstreams).map(([name, upstream]) => ({
      ...buildUpstream(name, upstream, baseDir),
      endpoints: upstream.endpoints.map((endpoint) => buildEndpoint(endpoint, baseDir)),
    })),
    ...present('shared', buildShared(said.shared, baseDir)),
  };
}

function buildEndpoint(
  said: z.output<typeof sidecarUpstream>['endpoints'][number],
  baseDir: string,
): EndpointConfig {
  const { address, weight, id } = 'kind' in said ? { address: said, weight: 1, id: undefined } : said;
  const resolved = addressFrom(baseDir, address);
  return { address: resolved, weight, id: id ?? writeAddress(resolved) };
}

function buildModel(said: SidecarFile['model']): ModelProcessConfig | undefined {
  return said === undefined ? undefined : { command: said.command ?? [], ...buildModelProcess(said) };
}
