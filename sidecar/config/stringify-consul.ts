/**
 * Writing what a configuration says of Consul back as the blocks of a sidecar file.
 */
import { present } from './build-basics.js';
import { writeDuration } from './codecs/duration.js';
import { writeSize } from './codecs/size.js';
import type { ConsulConfig, DiscoveryConfig, DiscoveryTarget, RegistrationConfig } from './model.js';

export function spellConsul(consul: ConsulConfig): Record<string, unknown> {
  const { tls, registration, cache } = consul;
  return {
    ...present('address', consul.address),
    ...present('token_file', consul.tokenFile),
    tls: {
      ...present('ca', tls.ca),
      ...present('cert', tls.cert),
      ...present('key', tls.key),
      ...present('server_name', tls.serverName),
      ...present('verify', tls.verify),
    },
    stale: consul.stale,
    wait: writeDuration(consul.waitMs),
    grace: writeDuration(consul.graceMs),
    max_answer: writeSize(consul.maxAnswerBytes),
    intentions: consul.intentions,
    rules: consul.rules,
    registration: registration === undefined ? 'none' : spellRegistration(registration),
    ...present('cache', cache && { dir: cache.dir, keys: cache.keys }),
  };
}

function spellRegistration(registration: RegistrationConfig): Record<string, unknown> {
  return {
    ...present('address', registration.address),
    tags: registration.tags,
    meta: registration.meta,
    weights: registration.weights,
    deregister_after: writeDuration(registration.deregisterAfterMs),
    propagation: writeDuration(registration.propagationMs),
  };
}

export function spellDiscovery(discovery: DiscoveryConfig): Record<string, unknown> {
  return { ...spellTarget(discovery), failover: discovery.failover.map(spellTarget) };
}

function spellTarget({ service, datacenter, tags, meta }: DiscoveryTarget): Record<string, unknown> {
  return { service, ...present('datacenter', datacenter), tags, meta };
}
