/**
 * Which TCP ports a mesh gets: the ones its file names are checked, the others are found.
 *
 * Every port stays bound until the whole mesh has its ports, so none is given twice, and a port that someone
 * else holds is reported before anything has been started. Found ports lie below the range from which the system
 * takes ports for outgoing connections, so that none of those can take one in the meantime.
 *
 * A book serves one mesh from its start to its end: for a changed file, a name gets the port that it has.
 */

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { portOwner } from '../../runtime/process/port-owner.js';
import { CommandFailure } from '../failure.js';

const LOWEST = 18_000;
const USUAL_EPHEMERAL_START = 32_768;
const TRIES = 200;

export class PortAllocator {
  private readonly held: Server[] = [];
  /** Found, by what they are for. */
  private readonly found = new Map<string, number>();
  /** Given before the last release, `host port`: the mesh itself listens there. */
  private readonly assigned = new Set<string>();
  private readonly fresh = new Set<string>();

  /** Holds exactly this port. Throws one clear line when that is impossible. */
  async claim(host: string, port: number, neededBy: string): Promise<void> {
    if (this.isOurs(host, port)) return;
    try {
      this.held.push(await bind(host, port));
      this.fresh.add(`${host} ${port}`);
    } catch (error) {
      throw new CommandFailure(`${neededBy}: cannot listen on ${host}:${port}: ${reason(error, port)}`);
    }
  }

  /** Holds exactly this port if it can. */
  async tryClaim(host: string, port: number): Promise<boolean> {
    const server = await bind(host, port).catch(() => undefined);
    if (server !== undefined) this.held.push(server);
    return server !== undefined;
  }

  /** Holds some free port; the same as before where something of that name had one. */
  async find(host: string, neededBy?: string): Promise<number> {
    const known = neededBy === undefined ? undefined : this.found.get(neededBy);
    if (known !== undefined && this.isOurs(host, known)) return known;
    const port = await this.findAny(host);
    if (neededBy !== undefined) this.found.set(neededBy, port);
    return port;
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

  /** What was given since the last release was for nothing. */
  discard(): void {
    this.fresh.clear();
  }

  /** Gives all ports back, for those they were found for. */
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
  if (code === 'EADDRINUSE') return takenBy(port);
  if (code === 'EACCES') return 'not permitted';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'this machine has no such address';
  return message;
}

function takenBy(port: number): string {
  const holder = portOwner(port);
  return holder === undefined ? 'the port is already taken' : `the port is already taken by ${holder}`;
}

function ephemeralStart(): number {
  try {
    const start = Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
    if (start > LOWEST + 1000) return start;
  } catch {
    // not Linux
  }
  return USUAL_EPHEMERAL_START;
}
