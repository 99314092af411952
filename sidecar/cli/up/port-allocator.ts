import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { attempt } from '../../runtime/attempt.js';
import { portOwner } from '../../runtime/process/port-owner.js';
import { type PortReservation, reservePort } from '../../runtime/process/port-reservation.js';
import { CommandFailure } from '../failure.js';

/** Lowest port that is searched. */
const LOWEST = 18_000;
/** Linux's default start of `ip_local_port_range`. */
const DEFAULT_EPHEMERAL_START = 32_768;
const TRIES = 200;

/** Which port to try next, between two bounds. */
type Draw = (lowest: number, end: number) => number;

/**
 * TCP ports for one mesh, from its start to its end: ports that the file names are claimed, others
 * are found.
 *
 * Every port stays bound until `release`, when the whole plan has its ports: no port is assigned
 * twice, and a port in use is reported before any process has started. After that, a port stays reserved:
 * another allocator on this machine does not take it before its program listens. Found ports lie below the
 * ephemeral range of the system, where no outgoing connection can take one meanwhile. In the plan of a
 * changed file, the same `neededBy` gets the same port.
 */
export class PortAllocator {
  private readonly held: Server[] = [];
  /** Found ports, by `neededBy`. */
  private readonly found = new Map<string, number>();
  /** `host port` of ports assigned before the last release: sidecars of this mesh listen there. */
  private readonly assigned = new Set<string>();
  /** `host port` of ports assigned since the last release. */
  private readonly fresh = new Set<string>();
  /** `host port` of ports that the current plan has, assigned by it or by one before. */
  private readonly planned = new Set<string>();
  /** `host port` of ports that the current plan has taken back after a plan that did not have them. */
  private readonly renewed = new Set<string>();
  /** By `host port`. */
  private readonly reserved = new Map<string, PortReservation>();

  /** @param claims `replace-taken`: a port that something else has is replaced by a free one. */
  constructor(
    private readonly claims: 'exact' | 'replace-taken' = 'exact',
    private readonly draw: Draw = randomInt,
  ) {}

  /**
   * Binds exactly this port, or the one that replaces it.
   *
   * @param neededBy the listener, at the start of the error message.
   * @returns the port.
   * @throws CommandFailure that says why not, what to do and, on Linux, which process has the port, or the user of one that may not be seen.
   */
  async claim(host: string, port: number, neededBy: string): Promise<number> {
    if (await this.keep(host, port)) return port;
    const replacement = `${neededBy} in place of ${port}`;
    if (this.found.has(replacement)) return this.find(host, replacement);
    try {
      await this.take(host, port);
      return port;
    } catch (error) {
      if (this.claims === 'replace-taken' && (error as NodeJS.ErrnoException).code === 'EADDRINUSE')
        return this.find(host, replacement);
      throw new CommandFailure(`${neededBy}: cannot listen on ${host}:${port}: ${reason(error, port)}`);
    }
  }

  /** Binds exactly this port, unless this mesh has it already; false when that is not possible. */
  async tryClaim(host: string, port: number): Promise<boolean> {
    if (await this.keep(host, port)) return true;
    return this.take(host, port).then(
      () => true,
      () => false,
    );
  }

  /** Binds a free port, or returns the port that `neededBy` already has. */
  async find(host: string, neededBy?: string): Promise<number> {
    const known = neededBy === undefined ? undefined : this.found.get(neededBy);
    if (known !== undefined && (await this.keep(host, known))) return known;
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
    if (known !== undefined && (await this.keep(host, known))) return known;
    let port = base;
    while (this.assigned.has(keyOf(host, port)) || this.fresh.has(keyOf(host, port))) port++;
    const claimed = await this.claim(host, port, neededBy);
    this.found.set(neededBy, claimed);
    return claimed;
  }

  /** False for a port that was not assigned before the last release, and for one that was given up and that another mesh has since. */
  private async keep(host: string, port: number): Promise<boolean> {
    const key = keyOf(host, port);
    if (!this.assigned.has(key)) return false;
    if (!this.reserved.has(key)) {
      const reservation = await reservePort(host, port);
      if (reservation === undefined) return false;
      this.reserved.set(key, reservation);
      this.renewed.add(key);
    }
    this.planned.add(key);
    return true;
  }

  /** Rejects with the error of the system. */
  private async take(host: string, port: number): Promise<void> {
    const reservation = await reservePort(host, port);
    if (reservation === undefined) throw new ReservedError();
    try {
      this.held.push(await bind(host, port));
    } catch (error) {
      reservation.release();
      throw error;
    }
    const key = keyOf(host, port);
    this.reserved.set(key, reservation);
    this.fresh.add(key);
    this.planned.add(key);
  }

  private unreserve(key: string): void {
    this.reserved.get(key)?.release();
    this.reserved.delete(key);
  }

  private async findAny(host: string): Promise<number> {
    const end = ephemeralStart();
    for (let i = 0; i < TRIES; i++) {
      const port = this.draw(LOWEST, end);
      try {
        await this.take(host, port);
        return port;
      } catch {
        // taken: try another
      }
    }
    throw new CommandFailure(`no free port found on ${host} between ${LOWEST} and ${end}`);
  }

  /** Forgets the ports assigned since the last release, and gives up those taken back: their plan failed. */
  discard(): void {
    for (const key of [...this.fresh, ...this.renewed]) this.unreserve(key);
    this.fresh.clear();
    this.renewed.clear();
    this.planned.clear();
  }

  /** Ends the reservations of ports that the current plan no longer has: other meshes may take them. */
  commit(): void {
    for (const key of [...this.reserved.keys()]) if (!this.planned.has(key)) this.unreserve(key);
    this.planned.clear();
    this.renewed.clear();
  }

  /** Closes all bound ports, so that the sidecars can bind them. They stay reserved. */
  async release(): Promise<void> {
    for (const each of this.fresh) this.assigned.add(each);
    this.fresh.clear();
    await Promise.all(this.held.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  }

  /** Ends all reservations as well: the programs have ended. */
  async close(): Promise<void> {
    await this.release();
    for (const key of [...this.reserved.keys()]) this.unreserve(key);
  }
}

/** Another allocator has the port; its program may not listen yet. */
class ReservedError extends Error {
  readonly code = 'EADDRINUSE';
}

function keyOf(host: string, port: number): string {
  return `${host} ${port}`;
}

function bind(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function reason(error: unknown, port: number): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES') return 'not permitted';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'this machine has no such address';
  if (code !== 'EADDRINUSE') return message;
  const owner = portOwner(port) ?? (error instanceof ReservedError ? 'a mesh that is starting' : undefined);
  const by = owner === undefined ? '' : ` by ${owner}`;
  return `the port is already taken${by}; end that process, name another port in the mesh file, or start with --ports free`;
}

/** First port that the system uses for outgoing connections. */
function ephemeralStart(): number {
  const range = attempt(() => readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), ''); // else not Linux
  const start = Number.parseInt(range, 10);
  return start > LOWEST + 1000 ? start : DEFAULT_EPHEMERAL_START;
}
