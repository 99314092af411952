/**
 * The listening sockets of all sidecars of a mesh, held open by `up`: a sidecar inherits its own, and when it dies, new
 * connections wait in their backlogs until the next one accepts.
 *
 * `up` binds them and must neither listen nor accept. Node offers that nowhere in public; its cluster module makes its
 * shared sockets by `net._createServerHandle`. A Node without it leaves the sockets to the sidecars.
 */

import net, { isIP, isIPv6 } from 'node:net';
import { writeAddress } from '../../config/codecs/address.js';
import type { Address, SidecarConfig } from '../../config/model.js';
import { type NamedSocket, SOCKET_NAMES } from '../../runtime/process/listen-sockets.js';
import type { SidecarSpec } from './plan.js';

interface Handle {
  readonly fd: number;
  close(): void;
}

/** Answers with the system's error number when it cannot. `type`: 4, 6, or −1 for a path. */
type Bind = (address: string, port: number, type: 4 | 6 | -1) => Handle | number;

interface Held extends NamedSocket {
  readonly handle: Handle;
}

export class HeldSockets {
  private readonly bySidecar = new Map<string, readonly Held[]>();

  private constructor(private readonly bind: Bind) {}

  /** Undefined where Node does not let us. */
  static create(): HeldSockets | undefined {
    const bind = (net as unknown as { readonly _createServerHandle?: Bind })._createServerHandle;
    if (typeof bind !== 'function') return undefined;
    const sample = bind('127.0.0.1', 0, 4);
    const isGood = typeof sample === 'object' && Number.isInteger(sample.fd) && sample.fd >= 0;
    if (typeof sample === 'object') sample.close();
    return isGood ? new HeldSockets(bind) : undefined;
  }

  /**
   * The sockets of a spec; those it did not have yet are bound, those it has no more are let go. What cannot be bound now
   * (it is taken, or named by a host name) is left out: the sidecar makes it itself, or says why it cannot.
   */
  forSidecar(spec: SidecarSpec): readonly NamedSocket[] {
    const before = this.bySidecar.get(spec.name) ?? [];
    const wanted = listenersOf(spec.config);
    const isWanted = (held: NamedSocket) =>
      wanted.some(({ name, at }) => name === held.name && writeAddress(at) === writeAddress(held.at));
    const kept = before.filter(isWanted);
    for (const held of before) if (!kept.includes(held)) held.handle.close();
    const missing = wanted.filter(({ name }) => !kept.some((held) => held.name === name));
    const all = [...kept, ...missing.flatMap(({ name, at }) => this.tryBind(name, at))];
    this.bySidecar.set(spec.name, all);
    return all;
  }

  release(spec: string): void {
    for (const { handle } of this.bySidecar.get(spec) ?? []) handle.close();
    this.bySidecar.delete(spec);
  }

  releaseAll(): void {
    for (const spec of [...this.bySidecar.keys()]) this.release(spec);
  }

  private tryBind(name: string, at: Address): Held[] {
    if (at.kind === 'tcp' && isIP(at.host) === 0) return [];
    const handle =
      at.kind === 'unix' ? this.bind(at.path, -1, -1) : this.bind(at.host, at.port, isIPv6(at.host) ? 6 : 4);
    return typeof handle === 'number' ? [] : [{ name, at, fd: handle.fd, handle }];
  }
}

/** Every listener of a sidecar by the name of its socket. */
export function listenersOf({
  inbound,
  outbound,
  admin,
}: SidecarConfig): { readonly name: string; readonly at: Address }[] {
  const upstreams = (outbound?.upstreams ?? []).map(({ name, listen }) => ({
    name: SOCKET_NAMES.upstream(name),
    at: listen,
  }));
  const all = [
    { name: SOCKET_NAMES.inbound, at: inbound?.listen },
    ...upstreams,
    { name: SOCKET_NAMES.shared, at: outbound?.shared?.listen },
    { name: SOCKET_NAMES.admin, at: admin },
  ];
  return all.flatMap(({ name, at }) => (at === undefined ? [] : [{ name, at }]));
}
