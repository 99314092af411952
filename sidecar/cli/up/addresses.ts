/** Where the sidecars of a planned mesh are found, as text. */

import { writeAddress } from '../../config/codecs/address.js';
import type { SidecarSpec } from './plan.js';

/** Where the application calls each upstream, by name. */
export function callAddresses(caller: SidecarSpec): Record<string, string> {
  const { upstreams = [], shared } = caller.config.outbound ?? {};
  const own = upstreams.flatMap((u) =>
    u.listen === undefined ? [] : [[u.name, writeAddress(u.listen)] as const],
  );
  const all =
    shared === undefined ? [] : [[`any upstream by ${shared.by}`, writeAddress(shared.listen)] as const];
  return Object.fromEntries([...own, ...all]);
}

export function adminAddress({ admin }: SidecarSpec): string {
  return writeAddress({ kind: 'tcp', ...admin });
}

/** Absent beside a caller. */
export function inboundAddress({ config }: SidecarSpec): string | undefined {
  return config.inbound === undefined ? undefined : writeAddress(config.inbound.listen);
}

export function callerOf(specs: readonly SidecarSpec[]): SidecarSpec {
  return specs.find((spec) => spec.role === 'caller')!;
}
