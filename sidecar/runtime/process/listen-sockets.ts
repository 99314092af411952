import { closeSync, linkSync, renameSync, rmSync } from 'node:fs';
import { isIP, type Server } from 'node:net';
import { attempt } from '../attempt.js';
import {
  type Handed,
  handedIn,
  type Inherited,
  type NamedSocket,
  type SocketAddress,
  type Unreached,
} from './inherited-sockets.js';
import { removeLeftSocket } from './left-socket.js';
import { descriptorOf, type ListenHandle, listenOnHandle, takeHandle } from './server-handle.js';

/** A socket that waits for its listener. */
interface Kept extends Inherited {
  /** It listens already: a server of this process has given it back. */
  readonly handle?: ListenHandle;
}

/** A socket of this process that listens, or will. */
interface Open {
  readonly server: Server;
  at: SocketAddress;
  readonly isGiven: boolean;
  /** This process created the path of a Unix socket, and removes it. */
  readonly isOwnPath: boolean;
}

const BACKLOG = 1024;

/** Names of a sidecar's sockets. */
export const SOCKET_NAMES = {
  inbound: 'inbound',
  admin: 'admin',
  observe: 'observe',
  scaler: 'scaler',
  shared: 'shared',
  upstream: (name: string) => `upstream.${name}`,
} as const;

/**
 * The listening sockets of a process, by name. A socket may be older than the process, as inherited-sockets.ts says. Connections
 * wait in its backlog until a process accepts them. A successor accepts on no inherited socket before `accept` is called.
 */
export class ListenSockets {
  private readonly inherited: Map<string, Kept>;
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
  static fromEnvironment(env: Readonly<Record<string, string | undefined>>, pid: number): ListenSockets {
    return new ListenSockets(handedIn(env, pid));
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

  /** Upstreams that this process need not reach before it accepts. */
  get unreached(): Unreached {
    return this.handed.unreached ?? { lost: [], never: [] };
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
  private take(name: string, address: SocketAddress): Kept | undefined {
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
    const handle = takeHandle(server);
    if (handle === undefined) return;
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

async function listenOn(server: Server, inherited: Kept | undefined, begun: Open): Promise<SocketAddress> {
  const { at } = begun;
  if (inherited?.handle !== undefined) {
    const { handle } = inherited;
    await untilListening(server, (listening) =>
      listenOnHandle(server, handle, { backlog: BACKLOG, listening }),
    );
  } else if (inherited !== undefined) {
    await untilListening(server, (listening) =>
      server.listen({ fd: inherited.fd }, BACKLOG, listening),
    ).catch((error: Error) => {
      // The system names no address with a descriptor.
      throw Object.assign(
        error,
        at.kind === 'tcp' ? { address: at.host, port: at.port } : { address: at.path },
      );
    });
  } else if (at.kind === 'unix') {
    await listenAt(server, at.path);
  } else {
    const { host, port } = at;
    await untilListening(server, (listening) => server.listen({ host, port, backlog: BACKLOG }, listening));
  }
  const bound = server.address();
  if (bound !== null && typeof bound === 'object')
    begun.at = { kind: 'tcp', host: bound.address, port: bound.port };
  return begun.at;
}

/** A process that was killed leaves its socket, at which no other can listen before it is removed. */
async function listenAt(server: Server, path: string): Promise<void> {
  const listen = (): Promise<void> =>
    untilListening(server, (listening) => server.listen({ path, backlog: BACKLOG }, listening));
  try {
    await listen();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (!(await removeLeftSocket(path).catch(() => false))) throw error;
    await listen();
  }
}

function untilListening(server: Server, begin: (listening: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    begin(() => {
      server.off('error', reject);
      resolve();
    });
  });
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
 * libuv removes the path of a Unix socket that it bound when it closes it; a hard link keeps it. Where the file system has none, the path
 * is moved away for that moment. A path that is gone cannot be kept: the server is closed all the same.
 */
function closeKeeping(path: string, close: () => void): void {
  const other = `${path}.${process.pid}`;
  attempt(() => rmSync(other, { force: true }), undefined);
  const isKept = works(() => linkSync(path, other)) || works(() => renameSync(path, other));
  close();
  if (isKept) attempt(() => renameSync(other, path), undefined);
}

function works(act: () => void): boolean {
  return attempt(() => {
    act();
    return true;
  }, false);
}
