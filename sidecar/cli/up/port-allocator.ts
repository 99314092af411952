import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { attempt } from '../../runtime/attempt.js';
import { portOwner } from '../../runtime/process/port-owner.js';
import { CommandFailure } from '../failure.js';

/** Lowest port that is searched. */
const LOWEST = 18_000;
/** Linux's default start of `ip_local_port_range`. */
const DEFAULT_EPHEMERAL_START = 32_768;
const TRIES = 200;

/**
 * TCP ports for one mesh, from its start to its end: ports that the file names are claimed, others
 * are found.
 *
 * Every port stays bound until `release`, when the whole plan has its ports: no port is assigned
 * twice, and a port in use is reported before any process has started. Found ports lie below the
 * ephemeral range of the system, where no outgoing connection can take one between `release` and
 * the sidecar's bind. In the plan of a changed file, the same `neededBy` gets the same port.
 */
export class PortAllocator {
  private readonly held: Server[] = [];
  /** Found ports, by `neededBy`. */
  private readonly found = new Map<string, number>();
  /** `host port` of ports assigned before the last release: sidecars of this mesh listen there. */
  private readonly assigned = new Set<string>();
  /** `host port` of ports assigned since the last release. */
  private readonly fresh = new Set<string>();

  /** @param claims `replace-taken`: a port that something else has is replaced by a free one. */
  constructor(private readonly claims: 'exact' | 'replace-taken' = 'exact') {}

  /**
   * Binds exactly this port, or the one that replaces it.
   *
   * @param neededBy the listener, at the start of the error message.
   * @returns the port.
   * @throws CommandFailure that says why not, what to do and, on Linux, which process has the port, or the user of one that may not be seen.
   */
  async claim(host: string, port: number, neededBy: string): Promise<number> {
    if (this.isOurs(host, port)) return port;
    const replacement = `${neededBy} in place of ${port}`;
    if (this.found.has(replacement)) return this.find(host, replacement);
    try {
      this.held.push(await bind(host, port));
      this.fresh.add(`${host} ${port}`);
      return port;
    } catch (error) {
      if (this.claims === 'replace-taken' && (error as NodeJS.ErrnoException).code === 'EADDRINUSE')
        return this.find(host, replacement);
      throw new CommandFailure(`${neededBy}: cannot listen on ${host}:${port}: ${reason(error, port)}`);
    }
  }

  /** Binds exactly this port; false when that is not possible. */
  async tryClaim(host: string, port: number): Promise<boolean> {
    const server = await bind(host, port).catch(() => undefined);
    if (server !== undefined) this.held.push(server);
    return server !== undefined;
  }

  /** Binds a free port, or returns the port that `neededBy` already has. */
  async find(host: string, neededBy?: string): Promise<number> {
    const known = neededBy === undefined ? undefined : this.found.get(neededBy);
    if (known !== undefined && this.isOurs(host, known)) return known;
    const port = await this.findAny(host);
    if (neededBy !== undefined) this.found.set(neededBy, port);
    return port;
  }

  /**
   * Binds the first port from `base` on that no other listener of this mesh has, or returns the one
   * that `neededBy` already has.
   *
   * @throws CommandFailure when something else has that port: what was told the ports would not find it.
   */
  async next(host: string, base: number, neededBy: string): Promise<number> {
    const known = this.found.get(neededBy);
    if (known !== undefined && this.isOurs(host, known)) return known;
    let port = base;
    while (this.isOurs(host, port) || this.fresh.has(`${host} ${port}`)) port++;
    const claimed = await this.claim(host, port, neededBy);
    this.found.set(neededBy, claimed);
    return claimed;
  }

  private isOurs(host: string, port: number): boolean {
    return this.assigned.has(`${host} ${port}`);
  }

  private async findAny(host: string): Promise<number> {
    const end = ephemeralStart();
    for (let i = 0; i < TRIES; i++) {
      const port = randomInt(LOWEST, end);
      try {
        this.held.push(await bind(host, port));
        this.fresh.add(`${host} ${port}`);
        return port;
      } catch {
        // taken: try another
      }
    }
    throw new CommandFailure(`no free port found on ${host} between ${LOWEST} and ${end}`);
  }

  /** Forgets the ports assigned since the last release: their plan failed. */
  discard(): void {
    this.fresh.clear();
  }

  /** Closes all bound ports, so that the sidecars can bind them. */
  async release(): Promise<void> {
    for (const each of this.fresh) this.assigned.add(each);
    this.fresh.clear();
    await Promise.all(this.held.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function bind(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function reason(error: unknown, port: number): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES') return 'not permitted';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'this machine has no such address';
  if (code !== 'EADDRINUSE') return message;
  const owner = portOwner(port);
  const by = owner === undefined ? '' : ` by ${owner}`;
  return `the port is already taken${by}; end that process, name another port in the mesh file, or start with --ports free`;
}

/** First port that the system uses for outgoing connections. */
function ephemeralStart(): number {
  const range = attempt(() => readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), ''); // else not Linux
  const start = Number.parseInt(range, 10);
  return start > LOWEST + 1000 ? start : DEFAULT_EPHEMERAL_START;
}
