import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What is open on a connection: one listener serves it, however many requests its client has pipelined. */
const openOn = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `ended` once, when the response is over or its client has gone. The response's own 'close' is not enough: Node never emits it for a
 * response that waits behind another one on a connection that breaks.
 */
export function onResponseEnd(response: ServerResponse, ended: () => void): void {
  const { socket } = response.req;
  if (socket.destroyed) return ended();
  const open = openOf(socket);
  const end = (): void => {
    if (open.delete(end)) ended();
  };
  open.add(end);
  response.once('close', end);
}

function openOf(socket: Socket): Set<() => void> {
  const known = openOn.get(socket);
  if (known !== undefined) return known;
  const open = new Set<() => void>();
  openOn.set(socket, open);
  socket.once('close', () => {
    for (const end of [...open]) end();
  });
  return open;
}
