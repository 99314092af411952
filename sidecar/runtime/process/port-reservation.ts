import { createServer, type Server } from 'node:net';

/** A TCP port that is reserved until `release` or the end of the process. */
export interface PortReservation {
  release(): void;
}

const NOTHING: PortReservation = { release: () => {} };

let supported: Promise<boolean> | undefined;

/**
 * Reserves a TCP port among the programs that use this function. A bound socket does not reserve its port: Linux lets two sockets with
 * SO_REUSEADDR, which Node always sets, bind one port until one of them listens.
 *
 * A reservation is a Unix socket with an abstract name. It ends with its process, needs no file, and belongs to the network
 * namespace, as ports do. Without abstract names (other systems than Linux, an older Node), nothing is reserved.
 *
 * @returns undefined when the port is reserved already.
 */
export async function reservePort(host: string, port: number): Promise<PortReservation | undefined> {
  supported ??= hasAbstractNames();
  if (!(await supported)) return NOTHING;
  const server = await listenAt(`${host}:${port}`);
  if (server === 'EADDRINUSE') return undefined;
  return typeof server === 'string' ? NOTHING : { release: () => void server.close() };
}

/** An older Node ends a name at its first NUL: all abstract names are one. */
async function hasAbstractNames(): Promise<boolean> {
  const samples = await Promise.all(['a', 'b'].map((name) => listenAt(`${process.pid}.${name}`)));
  const servers = samples.filter((each) => typeof each !== 'string');
  for (const server of servers) server.close();
  return servers.length === samples.length;
}

/** The server, or the code of the error. */
function listenAt(name: string): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
    server.listen({ path: `\0outrider.port.${name}`, exclusive: true }, () => resolve(server));
    server.unref();
  });
}
