/**
 * What a file says of Consul and perhaps does not mean.
 */

import { isLocalAddress, wouldReach, writeAddress } from '../codecs/address.js';
import { agentPlace } from '../codecs/agent-url.js';
import type { Path, Warning } from '../file/problem.js';
import type { MeshFile } from '../implied-caller.js';
import type { Address } from '../model.js';
import type { SidecarFile } from '../options/sidecar-file.js';

/** Where an agent listens unless told otherwise. */
const DEFAULT_AGENT: Address = { kind: 'tcp', host: '127.0.0.1', port: 8500 };

type ConsulFile = NonNullable<SidecarFile['consul']> | NonNullable<MeshFile['consul']>;

/** `listeners`: those of the same file, with their paths. */
export function consulWarnings(
  said: ConsulFile | undefined,
  listeners: readonly (readonly [path: Path, address: Address | undefined])[],
): Warning[] {
  if (said === undefined) return [];
  return [
    ...openAgent(said),
    ...graceless(said),
    ...(said.address === undefined ? meetsAgent(listeners) : []),
  ];
}

/** An instance that peers are told of and cannot reach. */
export function unreachableRegistration(file: SidecarFile): Warning[] {
  const { consul, inbound } = file;
  if (consul === undefined || inbound === undefined || consul.registration === 'none') return [];
  if (consul.registration.address !== undefined || !isLocalAddress(inbound.listen)) return [];
  const message = `Consul will tell peers ${writeAddress(inbound.listen)}, which only this machine reaches; say consul.registration.address if that is meant`;
  return [{ path: ['inbound', 'listen'], message }];
}

function openAgent({ address, tls }: ConsulFile): Warning[] {
  const concerns: Warning[] = [];
  const place = address === undefined ? undefined : agentPlace(address);
  if (address?.startsWith('http:') && place !== undefined && !isLocalAddress(place)) {
    const message = `${writeAddress(place)} is not on this machine; everything on the way there is readable, a token and private keys included`;
    concerns.push({ path: ['consul', 'address'], message });
  }
  if (tls.verify === false) {
    const message = 'the certificate of the agent is not verified: any server that answers gets the token';
    concerns.push({ path: ['consul', 'tls', 'verify'], message });
  }
  return concerns;
}

function graceless({ grace }: ConsulFile): Warning[] {
  if (grace > 0) return [];
  const message = 'an answer that is empty by mistake ends all calls at once';
  return [{ path: ['consul', 'grace'], message }];
}

function meetsAgent(listeners: readonly (readonly [path: Path, address: Address | undefined])[]): Warning[] {
  return listeners.flatMap(([path, address]) => {
    if (address === undefined || !wouldReach(DEFAULT_AGENT, address)) return [];
    const message = `an agent listens at ${writeAddress(DEFAULT_AGENT)} unless told otherwise; listen elsewhere, or say consul.address`;
    return [{ path, message }];
  });
}
