import { lstatSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Address } from '../config/model.js';
import { portOwner } from '../runtime/process/port-owner.js';

/** Why nothing can listen there, in one sentence: a taken port with the process that has it, where this user may see it. */
export function listenProblem(error: unknown): string {
  const { code, address, port, message } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  const isTcp = port !== undefined && port >= 0;
  const where = isTcp ? `${address}:${port}` : address;
  // Not every error of the system names one.
  if (typeof where !== 'string') return message;
  if (code === 'EADDRINUSE') {
    if (!isTcp && lstatSync(where, { throwIfNoEntry: false })?.isSocket() === false)
      return `cannot listen on ${where}: found a file that is no socket; expected a socket, or nothing`;
    const owner = isTcp ? portOwner(port) : undefined;
    return `cannot listen on ${where}: already taken${owner === undefined ? '' : ` by ${owner}`}`;
  }
  if (code === 'EACCES') return `cannot listen on ${where}: not permitted`;
  return message;
}

/**
 * Tries an address by binding it for a moment, for a program that reports a taken port by the error of the system alone.
 * @returns why it cannot be listened on; undefined: it can, or it is a Unix socket, whose program decides.
 */
export function portProblem(at: Address): Promise<string | undefined> {
  if (at.kind === 'unix') return Promise.resolve(undefined);
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error) => done(listenProblem(error)));
    server.listen({ host: at.host, port: at.port, exclusive: true }, () =>
      server.close(() => done(undefined)),
    );
  });
}
