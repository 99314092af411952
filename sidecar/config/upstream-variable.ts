import { type Address, writeAddress } from './codecs/address.js';

const PREFIX = 'OUTRIDER_UPSTREAM_';

/** The environment variable that tells a model where it calls an upstream: `my-tokens.v2` is `OUTRIDER_UPSTREAM_MY_TOKENS_V2`. */
export function variableOf(upstream: string): string {
  return PREFIX + upstream.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}

/**
 * The variables for all upstreams that have a listener of their own. Each value is the target that a gRPC client dials:
 * `unix:/path`, or `host:port`, on loopback where the listener is on every interface.
 */
export function upstreamVariables(
  addresses: Readonly<Record<string, Address | undefined>>,
): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [upstream, address] of Object.entries(addresses))
    if (address !== undefined) variables[variableOf(upstream)] = writeAddress(dialled(address));
  return variables;
}

function dialled(address: Address): Address {
  if (address.kind === 'unix') return address;
  const { host, port } = address;
  if (host === '0.0.0.0') return { kind: 'tcp', host: '127.0.0.1', port };
  return host === '::' ? { kind: 'tcp', host: '::1', port } : address;
}
