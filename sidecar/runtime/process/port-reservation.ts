import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { createServer, isIP, type Server } from 'node:net';
import { attempt } from '../attempt.js';

/** A TCP port that is reserved until `release` or the end of the process. */
export interface PortReservation {
  release(): void;
}

/** Stands for all addresses of this machine. */
const ANY = '*';
/** Names of reservations in /proc/net/unix; some versions of Node fill them up with zero bytes, which the kernel shows as `@`. */
const NAMES = / @outrider\.port\.(\S+):(\d+)@*$/gm;

const NOTHING: PortReservation = { release: () => {} };

let supported: Promise<boolean> | undefined;

/**
 * Reserves a TCP port among the programs that use this function. A bound socket does not reserve its port: Linux lets two sockets with
 * SO_REUSEADDR, which Node always sets, bind one port until one of them listens.
 *
 * A reservation is a Unix socket with an abstract name. It ends with its process, needs no file, and belongs to the network
 * namespace, as ports do. Without abstract names (other systems than Linux, an older Node), nothing is reserved.
 *
 * All addresses (0.0.0.0, ::) and any one address exclude each other; two addresses do not. Of two programs that ask for such a pair in the
 * same moment, both may be refused.
 *
 * @returns undefined when the port is reserved already.
 */
export async function reservePort(host: string, port: number): Promise<PortReservation | undefined> {
  supported ??= hasAbstractNames();
  if (!(await supported)) return NOTHING;
  const address = await addressOf(host);
  const server = await listenAt(`${address}:${port}`);
  if (server === 'EADDRINUSE') return undefined;
  if (typeof server === 'string') return NOTHING;
  const reservation = { release: () => void server.close() };
  if (!isExcluded(address, port)) return reservation;
  reservation.release();
  return undefined;
}

/** What a program that listens at this host binds. */
async function addressOf(host: string): Promise<string> {
  if (host === '' || host === '0.0.0.0' || host === '::') return ANY;
  if (host !== 'localhost') return host;
  const found = await lookup(host).catch(() => undefined);
  return found?.address ?? host;
}

/** Whether the port is reserved at all addresses while this is one of them, or the other way round. */
function isExcluded(address: string, port: number): boolean {
  if (address !== ANY && isIP(address) === 0) return false;
  const held = attempt(() => readFileSync('/proc/net/unix', 'utf8'), '');
  return [...held.matchAll(NAMES)].some(
    ([, other, at]) => Number(at) === port && (address === ANY ? isIP(other!) !== 0 : other === ANY),
  );
}

/** An older Node ends a name at its first NUL: all abstract names are one. */
async function hasAbstractNames(): Promise<boolean> {
  // Containers that share a network may have the same process ids.
  const probe = randomUUID();
  const samples = await Promise.all(['a', 'b'].map((name) => listenAt(`${probe}.${name}`)));
  const servers = samples.filter((each) => typeof each !== 'string');
  for (const server of servers) server.close();
  return servers.length === samples.length;
}

/** The server, or the code of the error. */
function listenAt(name: string): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
    server.listen({ path: `\0outrider.port.${name}`, exclusive: true }, () => resolve(server));
    server.unref();
  });
}
