import net from 'node:net';
import type { Address } from '../config/model.js';
import { dialPlain } from './dial.js';

/**
 * Where sockets come from. A sidecar uses the system's; a simulation passes one in memory, so that every connection of a
 * whole sidecar runs on its clock.
 */
export interface Network {
  /** A plain TCP or Unix socket that connects to `address`. */
  dial(address: Address): net.Socket;
  /** A server that is not bound yet. `pauseOnConnect`: an accepted socket reads nothing until it is resumed. */
  server(options: { readonly pauseOnConnect: boolean }, onSocket: (socket: net.Socket) => void): net.Server;
}

/** The sockets of the operating system. */
export const SYSTEM_NETWORK: Network = {
  dial: dialPlain,
  server: ({ pauseOnConnect }, onSocket) => net.createServer({ noDelay: true, pauseOnConnect }, onSocket),
};
