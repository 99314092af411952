/**
 * How a process learns which listening sockets it has inherited: from a service manager (`LISTEN_FDS`, sd_listen_fds(3)), or from
 * `up` or a predecessor (`OUTRIDER_SOCKETS`).
 */

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

/** A socket that was there before the process. */
export interface Inherited {
  readonly fd: number;
  /** Absent: not known yet. */
  readonly at?: SocketAddress;
  readonly isGiven?: true;
}

/** Upstreams to which the predecessor of a process has no connection, by name: its successor need not have one either. */
export interface Unreached {
  /** It had one before. */
  readonly lost: readonly string[];
  readonly never: readonly string[];
  /** Those to which it has one: what it does not have at all is not waited for either. Absent: from an older predecessor, which says nothing of that. */
  readonly reached?: readonly string[];
}

/** What a process is told of its sockets: the value of `OUTRIDER_SOCKETS`, as JSON. */
export interface Handed {
  /** A predecessor accepts until the process is ready. */
  readonly holdBack: boolean;
  /** Number of takeovers before the process, plus 1. Absent: 1. */
  readonly generation?: number;
  /** Absent: it has to reach every upstream. */
  readonly unreached?: Unreached;
  /** Descriptor to which one line is written when the process accepts; absent: reported in another way. */
  readonly tell?: number;
  /** By name. */
  readonly sockets: Readonly<Record<string, Inherited>>;
}

const VARIABLE = 'OUTRIDER_SOCKETS';
/** sd_listen_fds(3): the first descriptor after standard error. */
const FIRST_FD = 3;
/** Environment variables about inherited sockets, which are valid for one process only. */
const OF_THIS_PROCESS = [VARIABLE, 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES'];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the environment says to process `pid`.
 * @throws Error for `LISTEN_FDNAMES` that do not name each socket once.
 */
export function handedIn(env: Environment, pid: number): Handed {
  const own = env[VARIABLE];
  if (own !== undefined) return JSON.parse(own) as Handed;
  return { holdBack: false, sockets: activated(env, pid) };
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

/**
 * Environment and descriptors for a child that inherits `sockets`.
 *
 * @param options.tells the descriptor after them takes the line of a child that accepts.
 */
export function inheriting(
  sockets: readonly NamedSocket[],
  options: Pick<Handed, 'holdBack' | 'unreached'> & { readonly generation: number; readonly tells?: true },
): { readonly env: Record<string, string>; readonly fds: readonly number[] } {
  const handed: Handed = {
    holdBack: options.holdBack,
    generation: options.generation,
    ...(options.unreached === undefined ? {} : { unreached: options.unreached }),
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
