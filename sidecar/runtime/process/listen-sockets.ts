import { closeSync, linkSync, renameSync, rmSync } from 'node:fs';
import { isIP, type Server } from 'node:net';

/** Where a socket listens. */
export type SocketAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** A listening socket for another process. */
export interface NamedSocket {
  readonly name: string;
  /** Descriptor in this process. */
  readonly fd: number;
  readonly at: SocketAddress;
  /** The service manager chose the address; the configured one does not matter. */
  readonly isGiven?: true;
}

interface Inherited {
  readonly fd: number;
  /** Absent: not known yet. */
  readonly at?: SocketAddress;
  readonly isGiven?: true;
  /** It listens already: a server of this process has given it back. */
  readonly handle?: ListenHandle;
}

/** Node's own object for a listening socket. */
interface ListenHandle {
  readonly fd?: number;
  close(): void;
}

/**
 * What a server of Node has for such an object. Neither field is documented: `server.listen(handle)` takes TCP only, and calls
 * `_listen2` itself, whose name Node keeps because programs call it.
 */
interface HandleServer {
  _handle: ListenHandle | null;
  _listen2?(address: null, port: -1, family: -1, backlog: number): void;
}

/** A socket of this process that listens, or will. */
interface Open {
  readonly server: Server;
  at: SocketAddress;
  readonly isGiven: boolean;
  /** This process created the path of a Unix socket, and removes it. */
  readonly isOwnPath: boolean;
}

/** The value of `OUTRIDER_SOCKETS`, as JSON. */
interface Handed {
  readonly holdBack: boolean;
  /** Number of takeovers before the process, plus 1. Absent: 1. */
  readonly generation?: number;
  /**
   * Descriptor to which one line is written when the process accepts; absent: reported in another
   * way.
   */
  readonly tell?: number;
  readonly sockets: Readonly<Record<string, Inherited>>;
}

const VARIABLE = 'OUTRIDER_SOCKETS';
/** sd_listen_fds(3): the first descriptor after standard error. */
const FIRST_FD = 3;
const BACKLOG = 1024;
/** Environment variables about inherited sockets, which are valid for one process only. */
const OF_THIS_PROCESS = [VARIABLE, 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES'];

/** Names of a sidecar's sockets. */
export const SOCKET_NAMES = {
  inbound: 'inbound',
  admin: 'admin',
  observe: 'observe',
  shared: 'shared',
  upstream: (name: string) => `upstream.${name}`,
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The listening sockets of a process, by name. A socket may be older than the process: inherited
 * from a service manager (`LISTEN_FDS`, sd_listen_fds(3)), or from `up` or a predecessor
 * (`OUTRIDER_SOCKETS`). Connections wait in its backlog until a process accepts them. A successor
 * accepts on no inherited socket before `accept` is called.
 */
export class ListenSockets {
  private readonly inherited: Map<string, Inherited>;
  private readonly open = new Map<string, Open>();
  /** What `accept` begins; undefined after it, and in a process that is no successor. */
  private heldBack: (() => void)[] | undefined;
  private keepsPaths = false;

  constructor(private readonly handed: Handed = { holdBack: false, sockets: {} }) {
    this.inherited = new Map(Object.entries(handed.sockets));
    this.heldBack = handed.holdBack ? [] : undefined;
  }

  /**
   * Reads the inherited sockets.
   * @throws Error for `LISTEN_FDNAMES` that do not name each socket once.
   */
  static fromEnvironment(env: Environment, pid: number): ListenSockets {
    const own = env[VARIABLE];
    if (own !== undefined) return new ListenSockets(JSON.parse(own) as Handed);
    return new ListenSockets({ holdBack: false, sockets: activated(env, pid) });
  }

  /** Whether a predecessor accepts until this process is ready. */
  get isSuccessor(): boolean {
    return this.heldBack !== undefined;
  }

  /** Names of inherited sockets that no listener has asked for yet. */
  get names(): readonly string[] {
    return [...this.inherited.keys()];
  }

  /**
   * Closes inherited sockets that no listener has asked for, where connections would wait for ever.
   * Returns their names.
   */
  dropUnused(): readonly string[] {
    const { names } = this;
    for (const { fd, handle } of this.inherited.values()) {
      if (handle === undefined) closeSync(fd);
      else handle.close();
    }
    this.inherited.clear();
    return names;
  }

  /** Number of takeovers before this process, plus 1. */
  get generation(): number {
    return this.handed.generation ?? 1;
  }

  /** Descriptor to which one line is written when this process accepts. */
  get readyFd(): number | undefined {
    return this.handed.tell;
  }

  /**
   * Lets `server` listen on the inherited socket of that name, else on `address`. Resolves with the
   * bound address.
   */
  listen(name: string, server: Server, address: SocketAddress): Promise<SocketAddress> {
    const inherited = this.take(name, address);
    const begun: Open = {
      server,
      at: inherited?.at ?? address,
      isGiven: inherited?.isGiven === true,
      isOwnPath: inherited === undefined,
    };
    this.open.set(name, begun);
    const begin = () => listenOn(server, inherited, begun);
    if (inherited === undefined || this.heldBack === undefined) return begin();
    this.heldBack.push(() => {
      if (this.open.get(name) === begun) begin().catch((error: Error) => server.emit('error', error));
    });
    return Promise.resolve(begun.at);
  }

  /** An inherited socket at another address than the configured one is left for `dropUnused`. */
  private take(name: string, address: SocketAddress): Inherited | undefined {
    const found = this.inherited.get(name);
    if (found?.at !== undefined && found.isGiven !== true && !isMeant(found.at, address)) return undefined;
    this.inherited.delete(name);
    return found;
  }

  /** Accepts on the inherited sockets from now on. */
  accept(): void {
    const begins = this.heldBack ?? [];
    this.heldBack = undefined;
    for (const begin of begins) begin();
  }

  /** Sockets for another process; none in a Node that does not expose their descriptors. */
  all(): NamedSocket[] {
    return [...this.open].flatMap(([name, { server, at, isGiven }]) => {
      const fd = descriptorOf(server);
      return fd === undefined ? [] : [{ name, fd, at, ...(isGiven ? { isGiven } : {}) }];
    });
  }

  /** Names of sockets whose descriptor Node does not expose. */
  get unknown(): readonly string[] {
    return [...this.open].flatMap(([name, { server }]) => (descriptorOf(server) === undefined ? [name] : []));
  }

  /** A Unix socket keeps its path when it is closed from now on: a successor listens there. */
  keepPaths(): void {
    this.keepsPaths = true;
  }

  /**
   * Takes the socket that a service manager gave from `server`, for the next `listen` of that name. It stays open meanwhile: `server`
   * answers what still comes, though it counts as closed. A server that has none of these keeps its socket.
   */
  giveBack(name: string, server: Server): void {
    const mine = this.open.get(name);
    if (mine?.server !== server || !mine.isGiven) return;
    const holder = server as unknown as HandleServer;
    const handle = holder._handle;
    if (handle === null) return;
    holder._handle = null;
    this.open.delete(name);
    this.inherited.set(name, { fd: handle.fd ?? -1, at: mine.at, isGiven: true, handle });
  }

  /** Stops listening. Open connections stay. */
  close(server: Server): void {
    const [name, mine] = [...this.open].find(([, each]) => each.server === server) ?? [];
    if (name !== undefined) this.open.delete(name);
    const path = mine?.at.kind === 'unix' && mine.isOwnPath && this.keepsPaths ? mine.at.path : undefined;
    if (path === undefined) server.close();
    else closeKeeping(path, () => server.close());
  }
}

/**
 * Environment and descriptors for a child that inherits `sockets`.
 *
 * @param options.tells the descriptor after them takes the line of a child that accepts.
 */
export function inheriting(
  sockets: readonly NamedSocket[],
  options: { readonly holdBack: boolean; readonly generation: number; readonly tells?: true },
): { readonly env: Record<string, string>; readonly fds: readonly number[] } {
  const handed: Handed = {
    holdBack: options.holdBack,
    generation: options.generation,
    ...(options.tells === undefined ? {} : { tell: FIRST_FD + sockets.length }),
    sockets: Object.fromEntries(
      sockets.map(({ name, at, isGiven }, i) => [
        name,
        { fd: FIRST_FD + i, at, ...(isGiven === true ? { isGiven } : {}) },
      ]),
    ),
  };
  return { env: { [VARIABLE]: JSON.stringify(handed) }, fds: sockets.map(({ fd }) => fd) };
}

/** An environment without the variables about inherited sockets, for child processes. */
export function withoutSockets(env: Environment): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OF_THIS_PROCESS.includes(name)));
}

/**
 * systemd's protocol: `LISTEN_FDS` sockets from descriptor 3 on, meant for process `LISTEN_PID`,
 * with names.
 */
function activated(env: Environment, pid: number): Handed['sockets'] {
  if (env['LISTEN_FDS'] === undefined || Number(env['LISTEN_PID']) !== pid) return {};
  const count = Number(env['LISTEN_FDS']);
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  const sockets: Record<string, Inherited> = {};
  for (let i = 0; i < count; i++) {
    const name = names[i] ?? '';
    if (name === '' || sockets[name] !== undefined)
      throw new Error(
        `LISTEN_FDNAMES=${names.join(':')}: each of ${count} sockets needs a name of its own (FileDescriptorName=)`,
      );
    sockets[name] = { fd: FIRST_FD + i, isGiven: true };
  }
  return sockets;
}

function listenOn(server: Server, inherited: Inherited | undefined, begun: Open): Promise<SocketAddress> {
  const { at } = begun;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.off('error', reject);
      const bound = server.address();
      if (bound !== null && typeof bound === 'object')
        begun.at = { kind: 'tcp', host: bound.address, port: bound.port };
      resolve(begun.at);
    };
    if (inherited?.handle !== undefined) listenOnHandle(server, inherited.handle, listening);
    else if (inherited !== undefined) server.listen({ fd: inherited.fd }, BACKLOG, listening);
    else if (at.kind === 'unix') server.listen({ path: at.path }, listening);
    else server.listen({ host: at.host, port: at.port, backlog: BACKLOG }, listening);
  });
}

/** `server` accepts on a socket that another server of this process has accepted on, TCP or Unix. */
function listenOnHandle(server: Server, handle: ListenHandle, listening: () => void): void {
  const holder = server as unknown as HandleServer;
  server.once('listening', listening);
  holder._handle = handle;
  holder._listen2!(null, -1, -1, BACKLOG);
}

/**
 * Whether a socket at `at` serves the configured address `wanted`; port 0 is any, and host names
 * are not resolved.
 */
function isMeant(at: SocketAddress, wanted: SocketAddress): boolean {
  if (at.kind === 'unix' || wanted.kind === 'unix')
    return at.kind === 'unix' && wanted.kind === 'unix' && at.path === wanted.path;
  const isSameHost = at.host === wanted.host || isIP(wanted.host) === 0;
  return isSameHost && (wanted.port === 0 || wanted.port === at.port);
}

/**
 * libuv removes the path of a Unix socket that it bound when it closes it; a hard link keeps it.
 */
function closeKeeping(path: string, close: () => void): void {
  const other = `${path}.${process.pid}`;
  rmSync(other, { force: true });
  linkSync(path, other);
  close();
  renameSync(other, path);
}

/** The descriptor is on Node's internal handle only. */
function descriptorOf(server: Server): number | undefined {
  const { _handle } = server as unknown as { readonly _handle: { readonly fd?: number } | null };
  const fd = _handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
