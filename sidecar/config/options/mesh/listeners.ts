/**
 * Where the sidecars of a mesh file listen by its options, so that no two of them claim one place.
 */
import type { Address } from '../../codecs/address.js';
import { type FoundBlock, number } from '../found.js';
import { listeners } from '../listener-conflicts.js';
import type { Report } from '../option.js';

/** The ports that `port_base` gives to the replicas of a service. */
export function replicaListeners(serviceName: string, block: FoundBlock, report: Report) {
  const base = number(block['port_base']);
  const replicas = number(block['replicas']);
  if (base === undefined || replicas === undefined) return [];
  const last = base + 2 * replicas - 1;
  if (last > 65_535) {
    report(
      ['services', serviceName, 'port_base'],
      `found ${base}, with which the last replica would need port ${last}; expected at most ${65_535 - 2 * replicas + 1}`,
    );
    return [];
  }
  const ports = Array.from({ length: 2 * replicas }, (_, i) => base + i);
  return ports.flatMap((port) =>
    listeners([['services', serviceName, 'port_base'], { kind: 'tcp', host: '127.0.0.1', port }]),
  );
}

/** One for each sidecar of the mesh: those of the replicas, and the caller's. */
export function observeListeners(
  base: Address | undefined,
  services: readonly (readonly [string, FoundBlock])[],
  report: Report,
) {
  if (base === undefined) return [];
  if (base.kind === 'unix') {
    report(
      ['observe'],
      'found a socket; expected an address such as "127.0.0.1:9464", with a port for each sidecar',
    );
    return [];
  }
  const count = services.reduce((sum, [, block]) => sum + (number(block['replicas']) ?? 1), 1);
  if (base.port === 0) return [];
  if (base.port + count - 1 > 65_535) {
    report(
      ['observe'],
      `found port ${base.port}, with which the last sidecar would need port ${base.port + count - 1}; expected at most ${65_536 - count}`,
    );
    return [];
  }
  const all = Array.from({ length: count }, (_, i) => ({ ...base, port: base.port + i }));
  return all.flatMap((at) => listeners([['observe'], at]));
}
