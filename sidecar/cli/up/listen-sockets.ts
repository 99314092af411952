import net, { isIP, isIPv6 } from 'node:net';
import { writeAddress } from '../../config/codecs/address.js';
import type { Address, SidecarConfig } from '../../config/model.js';
import type { NamedSocket } from '../../runtime/process/inherited-sockets.js';
import { SOCKET_NAMES } from '../../runtime/process/listen-sockets.js';
import type { SidecarSpec } from './plan.js';

interface Handle {
  readonly fd: number;
  close(): void;
}

/**
 * `net._createServerHandle`: binds without listening. Returns the system's error number (negative)
 * on failure. `type`: 4 or 6 for the IP version, −1 for a Unix socket, whose `port` is −1 too.
 */
type Bind = (address: string, port: number, type: 4 | 6 | -1) => Handle | number;

/** One listener of a sidecar: the name of its socket and where it listens. */
export type ListenerAddress = Pick<NamedSocket, 'name' | 'at'>;

interface Held extends NamedSocket {
  readonly handle: Handle;
}

/**
 * The listening sockets of all sidecars of a mesh, held open by `up`. A sidecar inherits its own;
 * while it is down, new connections wait in the backlogs until the next process accepts them.
 *
 * `up` binds the sockets and neither listens nor accepts. Node has no public call for that; its
 * cluster module uses `net._createServerHandle`, and so does this class.
 */
export class HeldSockets {
  private readonly bySidecar = new Map<string, readonly Held[]>();

  private constructor(private readonly bind: Bind) {}

  /** Undefined in a Node without that call: each sidecar then binds its own sockets. */
  static create(): HeldSockets | undefined {
    const bind = (net as unknown as { readonly _createServerHandle?: Bind })._createServerHandle;
    if (typeof bind !== 'function') return undefined;
    const sample = bind('127.0.0.1', 0, 4);
    const isGood = typeof sample === 'object' && Number.isInteger(sample.fd) && sample.fd >= 0;
    if (typeof sample === 'object') sample.close();
    return isGood ? new HeldSockets(bind) : undefined;
  }

  /**
   * The sockets of a sidecar, by the names of its listeners. Missing ones are bound, those without
   * a listener are closed. A socket that cannot be bound (in use, or at a host name) is skipped:
   * the sidecar binds it, or reports why not.
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

  /** Closes the sockets of one sidecar. */
  release(name: string): void {
    for (const { handle } of this.bySidecar.get(name) ?? []) handle.close();
    this.bySidecar.delete(name);
  }

  releaseAll(): void {
    for (const name of [...this.bySidecar.keys()]) this.release(name);
  }

  private tryBind(name: string, at: Address): Held[] {
    if (at.kind === 'tcp' && isIP(at.host) === 0) return [];
    const handle =
      at.kind === 'unix' ? this.bind(at.path, -1, -1) : this.bind(at.host, at.port, isIPv6(at.host) ? 6 : 4);
    return typeof handle === 'number' ? [] : [{ name, at, fd: handle.fd, handle }];
  }
}

/**
 * Every listener that a configuration describes, with the name of its socket (`SOCKET_NAMES`) and
 * its address.
 */
export function listenersOf({ inbound, outbound, admin, observe, scaler }: SidecarConfig): ListenerAddress[] {
  const all: [string, Address | undefined][] = [
    [SOCKET_NAMES.inbound, inbound?.listen],
    ...(outbound?.upstreams ?? []).map(({ name, listen }): (typeof all)[number] => [
      SOCKET_NAMES.upstream(name),
      listen,
    ]),
    [SOCKET_NAMES.shared, outbound?.shared?.listen],
    [SOCKET_NAMES.admin, admin],
    [SOCKET_NAMES.observe, observe],
    [SOCKET_NAMES.scaler, scaler?.listen],
  ];
  return all.flatMap(([name, at]) => (at === undefined ? [] : [{ name, at }]));
}
