import { writeAddress } from '../../config/codecs/address.js';
import type { SidecarSpec } from './plan.js';

/**
 * `host:port` (or `unix:/path`) where the application calls each upstream, by the upstream's name.
 */
export function callAddresses(caller: SidecarSpec): Record<string, string> {
  const { upstreams = [], shared } = caller.config.outbound ?? {};
  const addresses = upstreams.flatMap(({ name, listen }) =>
    listen === undefined ? [] : [[name, writeAddress(listen)] as const],
  );
  if (shared !== undefined) addresses.push([`any upstream by ${shared.by}`, writeAddress(shared.listen)]);
  return Object.fromEntries(addresses);
}

/** `host:port` of a sidecar's admin server. */
export function adminAddress({ admin }: SidecarSpec): string {
  return writeAddress(admin);
}

/**
 * `host:port` where peers call the replica; undefined for the caller, which takes no calls of
 * peers.
 */
export function inboundAddress({ config }: SidecarSpec): string | undefined {
  return config.inbound && writeAddress(config.inbound.listen);
}

/** The caller's sidecar; every planned mesh has exactly one. */
export function callerOf(specs: readonly SidecarSpec[]): SidecarSpec {
  return specs.find(({ role }) => role === 'caller')!;
}

/** `host:port` of a sidecar's read-only listener; undefined where the mesh file has none. */
export function observeAddress({ config }: SidecarSpec): string | undefined {
  return config.observe && writeAddress(config.observe);
}
