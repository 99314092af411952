/**
 * From the spelled blocks about Consul to ConsulConfig and DiscoveryConfig.
 */
import type { z } from 'zod';
import { pathFrom, present } from './build-basics.js';
import type { ConsulConfig, DiscoveryConfig, DiscoveryTarget, RegistrationConfig } from './model.js';
import { meshConsul, type sidecarConsul } from './options/consul.js';
import { type discovery, failoverFrom } from './options/discovery.js';

/** The blocks of both kinds of file: what one of them lacks is absent or has its default. */
type SaidConsul = z.output<typeof sidecarConsul> | z.output<typeof meshConsul>;
type SaidRegistration = Exclude<SaidConsul['registration'], 'none'>;

export function buildConsul(said: SaidConsul, baseDir: string): ConsulConfig {
  const { registration, cache } = said;
  return {
    ...present('address', said.address && urlFrom(baseDir, said.address)),
    ...present('tokenFile', said.token_file && pathFrom(baseDir, said.token_file)),
    tls: buildTls(said.tls, baseDir),
    stale: said.stale,
    waitMs: said.wait,
    graceMs: said.grace,
    maxAnswerBytes: said.max_answer,
    intentions: said.intentions,
    rules: said.rules,
    ...present('registration', registration === 'none' ? undefined : buildRegistration(registration)),
    ...present('cache', cache && { dir: pathFrom(baseDir, cache.dir), keys: cache.keys }),
  };
}

/** What `consul: {}` means. */
export function plainConsul(): ConsulConfig {
  return buildConsul(meshConsul.parse({}), '/');
}

/** What an upstream asks Consul for when its block says nothing, or is not there. */
export function plainDiscovery(upstream: string): DiscoveryConfig {
  return { service: upstream, tags: [], meta: {}, failover: [] };
}

export function buildDiscovery(upstream: string, said: z.output<typeof discovery>): DiscoveryConfig {
  const first = {
    service: said.service ?? upstream,
    datacenter: said.datacenter,
    tags: said.tags,
    meta: said.meta,
  };
  return {
    ...buildTarget(first),
    failover: said.failover.map((target) => buildTarget(failoverFrom(first, target))),
  };
}

function buildTarget(said: {
  readonly service: string;
  readonly datacenter: string | undefined;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}): DiscoveryTarget {
  return {
    service: said.service,
    ...present('datacenter', said.datacenter),
    tags: [...said.tags],
    meta: { ...said.meta },
  };
}

function buildTls(said: SaidConsul['tls'], baseDir: string): ConsulConfig['tls'] {
  const path = (relative: string | undefined) =>
    relative === undefined ? undefined : pathFrom(baseDir, relative);
  return {
    ...present('ca', path(said.ca)),
    ...present('cert', path(said.cert)),
    ...present('key', path(said.key)),
    ...present('serverName', said.server_name),
    ...present('verify', said.verify),
  };
}

function buildRegistration(said: SaidRegistration): RegistrationConfig {
  return {
    ...present('address', 'address' in said ? said.address : undefined),
    tags: 'tags' in said ? said.tags : [],
    meta: 'meta' in said ? { ...said.meta } : {},
    weights: { passing: said.weights.passing, warning: said.weights.warning },
    deregisterAfterMs: said.deregister_after,
    propagationMs: said.propagation,
  };
}

function urlFrom(baseDir: string, url: string): string {
  return url.startsWith('unix://') ? `unix://${pathFrom(baseDir, url.slice('unix://'.length))}` : url;
}
