import net from 'node:net';
import tls from 'node:tls';
import type { Address } from '../config/model.js';
import { readBuffers, SharedReadBuffer } from './shared-read-buffer.js';

type Target = { host: string; port: number; noDelay: true } | { path: string };

function target(address: Address): Target {
  if (address.kind === 'unix') return { path: address.path };
  return { host: address.host, port: address.port, noDelay: true };
}

/** A TCP or Unix socket that connects, and reads through a `SharedReadBuffer`. */
export function dialPlain(address: Address): net.Socket {
  const port = new SharedReadBuffer('bytes');
  const socket = net.connect({ ...target(address), onread: port.onread });
  readBuffers.set(socket, port);
  return socket;
}

/** The same with TLS. */
export function dialTls(address: Address, options: tls.ConnectionOptions): tls.TLSSocket {
  const port = new SharedReadBuffer('records');
  // `onread` is documented for tls.connect and missing from its types.
  const reading: object = { onread: port.onread };
  const socket = tls.connect({ ...target(address), ...options, ...reading });
  readBuffers.set(socket, port);
  return socket;
}
