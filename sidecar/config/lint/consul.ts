/**
 * What a file says of Consul and perhaps does not mean.
 */
import { type Address, isLocalAddress, wouldReach, writeAddress } from '../codecs/address.js';
import { agentPlace } from '../codecs/agent-url.js';
import type { MeshFile } from '../implied-caller.js';
import type { Listener } from '../options/listener-conflicts.js';
import type { Report } from '../options/option.js';
import type { SidecarFile } from '../options/sidecar-file.js';

/** Where an agent listens unless told otherwise. */
const DEFAULT_AGENT: Address = { kind: 'tcp', host: '127.0.0.1', port: 8500 };

type ConsulFile = NonNullable<SidecarFile['consul']> | NonNullable<MeshFile['consul']>;

/** `listeners`: those of the same file. */
export function warnOfConsul(
  consul: ConsulFile | undefined,
  listeners: readonly Listener[],
  warn: Report,
): void {
  if (consul === undefined) return;
  const { address, tls, grace } = consul;
  const place = address === undefined ? undefined : agentPlace(address);
  if (address?.startsWith('http:') && place !== undefined && !isLocalAddress(place))
    warn(
      ['consul', 'address'],
      `${writeAddress(place)} is not on this machine; everything on the way there is readable, a token and private keys included`,
    );
  if (tls.verify === false)
    warn(
      ['consul', 'tls', 'verify'],
      'the certificate of the agent is not verified: any server that answers gets the token',
    );
  if (grace === 0) warn(['consul', 'grace'], 'an answer that is empty by mistake ends all calls at once');
  if (address !== undefined) return;
  for (const listener of listeners)
    if (wouldReach(DEFAULT_AGENT, listener.address))
      warn(
        listener.path,
        `an agent listens at ${writeAddress(DEFAULT_AGENT)} unless told otherwise; listen elsewhere, or say consul.address`,
      );
}

/** Warns about an instance that peers are told of and cannot reach. */
export function warnOfRegistration({ consul, inbound }: SidecarFile, warn: Report): void {
  if (consul === undefined || inbound === undefined || consul.registration === 'none') return;
  if (consul.adopt !== undefined) return;
  if (consul.registration?.address !== undefined || !isLocalAddress(inbound.listen)) return;
  warn(
    ['inbound', 'listen'],
    `Consul will tell peers ${writeAddress(inbound.listen)}, which only this machine reaches; say consul.registration.address if that is meant`,
  );
}
