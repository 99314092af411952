/** Which port each listener of a planned mesh gets. All of them stay bound until the plan is carried out. */
import type { Address } from '../../config/model.js';
import type { PortAllocator } from './port-allocator.js';

/** Where a mesh of one machine listens, unless its file says otherwise. */
export const HOST = '127.0.0.1';

export type TcpAddress = Extract<Address, { kind: 'tcp' }>;

/** What is asked for ports; each throws CommandFailure for one that is in use. */
export interface PlanPorts {
  readonly ports: PortAllocator;
}

/**
 * The default port of an undescribed caller while it is free, so that `up` has the same addresses
 * each time.
 */
export async function defaultAddress({ ports }: PlanPorts, port: number): Promise<TcpAddress> {
  const isFree = await ports.tryClaim(HOST, port);
  return { kind: 'tcp', host: HOST, port: isFree ? port : await ports.find(HOST, `usual ${port}`) };
}

/**
 * Replaces port 0 (any) by a free one now: a sidecar that restarts has to be found at the same
 * address.
 */
export async function assignPort(
  input: PlanPorts,
  listen: Address | undefined,
  neededBy: string,
): Promise<Address | undefined> {
  return listen?.kind === 'tcp' ? listenAddress(input, listen, neededBy) : listen;
}

/**
 * Claims the port that the file states, or finds a free one; `neededBy` names the listener in error
 * messages.
 */
export async function listenAddress(
  { ports }: PlanPorts,
  { host = HOST, port = 0 }: { readonly host?: string; readonly port?: number | undefined },
  neededBy: string,
): Promise<TcpAddress> {
  if (port === 0) return { kind: 'tcp', host, port: await ports.find(host, neededBy) };
  return { kind: 'tcp', host, port: await ports.claim(host, port, neededBy) };
}

/** The port of the file is the first one: each sidecar has the next. */
export async function observeAddress(
  { ports }: PlanPorts,
  observe: Address | undefined,
  name: string,
): Promise<Address | undefined> {
  if (observe?.kind !== 'tcp') return undefined;
  const { host, port: base } = observe;
  const neededBy = `${name} (observe)`;
  const port = base === 0 ? await ports.find(host, neededBy) : await ports.next(host, base, neededBy);
  return { kind: 'tcp', host, port };
}
