/** The servers that can carry the calls, by name. */

import type { StartTransport } from './transport.js';

export const SERVER_NAMES = ['engine', 'grpc-js'] as const;

/** `engine`: our own HTTP/2 engine; `grpc-js`: @grpc/grpc-js. */
export type ServerName = (typeof SERVER_NAMES)[number];

/** Used where none is named. */
export const DEFAULT_SERVER: ServerName = 'engine';

/** Throws an Error that says what was expected. */
export function parseServer(text: string): ServerName {
  const name = SERVER_NAMES.find((known) => known === text);
  if (name === undefined) throw new Error(`--server: found '${text}', expected ${SERVER_NAMES.join(' or ')}`);
  return name;
}

/** How it is started. Each is loaded only where it is used. */
export async function transportOf(name: ServerName): Promise<StartTransport> {
  if (name === 'engine') return (await import('./engine/start.js')).startEngine;
  return (await import('./grpc-js.js')).startGrpcJs;
}
