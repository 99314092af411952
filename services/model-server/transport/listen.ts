/**
 * Where a model service listens: `host:port`, `[v6]:port` or `unix:/path`; and the socket file that a killed process left.
 */

import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';

/** A host and its port, 0 for any free one, or the path of a socket. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Longest path the kernel takes for a socket (108 bytes with the closing zero). */
const MAX_SOCKET_PATH = 107;

/** Throws an Error that says what was expected. */
export function parseListen(text: string): ListenAddress {
  const unix = /^unix:(?:\/\/)?(\/.+)$/.exec(text)?.[1];
  if (unix !== undefined) {
    if (Buffer.byteLength(unix) > MAX_SOCKET_PATH) {
      throw new Error(
        `socket path has ${Buffer.byteLength(unix)} bytes, expected ${MAX_SOCKET_PATH} at most: ${unix}`,
      );
    }
    return { kind: 'unix', path: unix };
  }
  const tcp = /^(\[[0-9a-fA-F:.]+\]|[^:/\s]+):(\d{1,5})$/.exec(text);
  const port = Number(tcp?.[2]);
  if (tcp === null || port > 65535) throw new Error(`found '${text}', expected host:port or unix:/path`);
  return { kind: 'tcp', host: tcp[1]!, port };
}

/** Removes a socket file without a listener; rejects when it has one or is no socket. */
export async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`cannot listen on unix:${path}: the file exists and is not a socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (alive) throw new Error(`cannot listen on unix:${path}: another process listens there`);
  rmSync(path, { force: true });
}
