/** Packets that the kernel drops, in the network of the command's own; by `iptables`. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isInOwnNetwork } from './own-network.js';

const run = promisify(execFile);

/** Arguments of `iptables` that drop packets to and from a TCP port. @param share of them, above 0 and up to 1. */
export function dropRules(port: number, share: number): readonly (readonly string[])[] {
  const chance = share < 1 ? ['-m', 'statistic', '--mode', 'random', '--probability', String(share)] : [];
  return ['--dport', '--sport'].map((end) => [
    ...['-w', '5', '-A', 'INPUT', '-p', 'tcp', end, String(port)],
    ...[...chance, '-j', 'DROP'],
  ]);
}

/** From now on this share of the packets to and from the port is lost. Rejects outside a network of the command's own. */
export async function dropPackets(port: number, share: number): Promise<void> {
  requireOwnNetwork();
  for (const rule of dropRules(port, share)) await run('iptables', [...rule]);
}

/** No packet is lost any more. */
export async function dropNoPackets(): Promise<void> {
  requireOwnNetwork();
  await run('iptables', ['-w', '5', '-F', 'INPUT']);
}

function requireOwnNetwork(): void {
  if (!isInOwnNetwork()) throw new Error('packets are dropped in a network of the command’s own only');
}
