import type { Agent } from 'node:http';
import { readAddress } from '../config/codecs/address.js';
import type { Address } from '../config/model.js';
import { CommandFailure } from './failure.js';
import { type HttpAnswer, httpRequest } from './http-request.js';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * The address of an admin server as `up` prints it, with `http://` in front and `/` at the end, or without them.
 * @throws CommandFailure for any other text.
 */
export function adminAddressOf(text: string): Address {
  const read = readAddress(text.replace(/^http:\/\//, '').replace(/\/$/, ''));
  if (!read.ok) throw new CommandFailure(`--admin: ${read.problem}`, 2);
  return read.value;
}

export interface AdminRequest {
  readonly timeoutMs: number;
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Of `admin_token_file`, for what changes something. */
  readonly token?: string;
  /** Keeps the connection for the next request. */
  readonly agent?: Agent;
}

/**
 * Asks an admin server; `path` with its query. The Host header is `localhost`, which the server's
 * guard accepts on any address. Rejects when there is no whole answer within `timeoutMs`, or when
 * it is longer than 16 MiB.
 */
export function askAdmin(
  address: Address,
  path: string,
  { timeoutMs, method = 'GET', token, agent }: AdminRequest,
): Promise<HttpAnswer> {
  const target = address.kind === 'unix' ? { socketPath: address.path } : address;
  const headers = {
    host: 'localhost',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return httpRequest({ target, method, path, headers, agent, timeoutMs, maxBytes: MAX_BODY_BYTES });
}
