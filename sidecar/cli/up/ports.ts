/**
 * Which TCP ports a mesh gets: the ones its file names are checked, the others are found.
 *
 * Every port stays bound until the whole mesh has its ports, so none is given twice, and a port that someone
 * else holds is reported before anything has been started. Found ports lie below the range from which the system
 * takes ports for outgoing connections, so that none of those can take one in the meantime.
 */

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { CommandFailure } from '../failure.js';

const LOWEST = 18_000;
const USUAL_EPHEMERAL_START = 32_768;
const TRIES = 200;

export class PortBook {
  private readonly held: Server[] = [];

  /** Holds exactly this port. Throws one clear line when that is impossible. */
  async claim(host: string, port: number, neededBy: string): Promise<void> {
    try {
      this.held.push(await bind(host, port));
    } catch (error) {
      throw new CommandFailure(`${neededBy}: cannot listen on ${host}:${port}: ${reason(error)}`);
    }
  }

  /** Holds exactly this port if it can. */
  async tryClaim(host: string, port: number): Promise<boolean> {
    return this.claim(host, port, '').then(
      () => true,
      () => false,
    );
  }

  /** Holds some free port. */
  async find(host: string): Promise<number> {
    const end = ephemeralStart();
    for (let i = 0; i < TRIES; i++) {
      const port = randomInt(LOWEST, end);
      try {
        this.held.push(await bind(host, port));
        return port;
      } catch {
        // taken: try another
      }
    }
    throw new CommandFailure(`no free port found on ${host} between ${LOWEST} and ${end}`);
  }

  /** Gives all ports back, for those they were found for. */
  async release(): Promise<void> {
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

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'the port is already taken';
  if (code === 'EACCES') return 'not permitted';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'this machine has no such address';
  return message;
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
