/**
 * The listening socket inside a server of Node. None of this is documented: `server.listen(handle)` takes TCP only, and calls
 * `_listen2` itself, whose name Node keeps because programs call it.
 */

import type { Server } from 'node:net';

/** Node's own object for a listening socket. */
export interface ListenHandle {
  readonly fd?: number;
  close(): void;
}

interface HandleServer {
  _handle: ListenHandle | null;
  _listen2?(address: null, port: -1, family: -1, backlog: number): void;
}

/** Descriptor of the socket; undefined: there is none, or this Node does not expose it. */
export function descriptorOf(server: Server): number | undefined {
  const fd = (server as unknown as HandleServer)._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

/** Takes the socket out of `server`, which counts as closed from then on. Undefined: it has none. */
export function takeHandle(server: Server): ListenHandle | undefined {
  const holder = server as unknown as HandleServer;
  const handle = holder._handle ?? undefined;
  if (handle !== undefined) holder._handle = null;
  return handle;
}

/**
 * `server` accepts on a socket, TCP or Unix, that another server of this process has accepted on.
 * @param listening called once it does.
 */
export function listenOnHandle(
  server: Server,
  handle: ListenHandle,
  { backlog, listening }: { readonly backlog: number; readonly listening: () => void },
): void {
  const holder = server as unknown as HandleServer;
  server.once('listening', listening);
  holder._handle = handle;
  holder._listen2!(null, -1, -1, backlog);
}
