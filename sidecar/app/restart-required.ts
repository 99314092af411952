/** Which changes of a configuration only a restart takes over. */

import type { SidecarConfig } from '../config/model.js';

/** The changed ones, as paths in the file. */
export function restartPaths(before: SidecarConfig, next: SidecarConfig): string[] {
  const paths: string[] = [];
  const check = (path: string, a: unknown, b: unknown): void => {
    if (JSON.stringify(a) !== JSON.stringify(b)) paths.push(path);
  };
  check('service', before.service, next.service);
  check('instance', before.instance, next.instance);
  check('datacenter', before.datacenter, next.datacenter);
  check('log', before.log, next.log);
  check('trust_domain', before.trustDomain, next.trustDomain);
  check('identity', before.identity, next.identity);
  check('consul', before.consul, next.consul);
  check('admin', before.admin, next.admin);
  check('limits', before.limits, next.limits);
  check('inbound.listen', before.inbound?.listen, next.inbound?.listen);
  check('inbound.local', before.inbound?.local, next.inbound?.local);
  check('inbound.mtls', before.inbound?.mtls, next.inbound?.mtls);
  check('inbound.golden', before.inbound?.golden, next.inbound?.golden);
  check('outbound.shared', before.outbound?.shared, next.outbound?.shared);
  check('model', before.model, next.model);
  check('fault_injection', before.faultInjection, next.faultInjection);
  for (const upstream of next.outbound?.upstreams ?? []) {
    const old = before.outbound?.upstreams.find((each) => each.name === upstream.name);
    if (old) check(`outbound.upstreams.${upstream.name}.listen`, old.listen, upstream.listen);
  }
  return paths;
}
