import type { Agent } from 'node:http';
import { readAddress } from '../config/codecs/address.js';
import type { Address } from '../config/model.js';
import { adminSocketProblem } from '../runtime/process/socket-trust.js';
import { CommandFailure } from './failure.js';
import { type HttpAnswer, type HttpTarget, httpRequest } from './http-request.js';

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
 * Where the admin server at this address is connected to.
 * @throws CommandFailure for a Unix socket that may be another user's.
 */
export function adminTarget(address: Address): HttpTarget {
  if (address.kind === 'tcp') return { host: address.host, port: address.port };
  const problem = adminSocketProblem(address.path);
  if (problem !== undefined) throw new CommandFailure(problem);
  return { socketPath: address.path };
}

/**
 * Asks an admin server; `path` with its query. The Host header is `localhost`, which the server's
 * guard accepts on any address. Rejects for a Unix socket that may be another user's, when there is no whole answer within `timeoutMs`, or when
 * it is longer than 16 MiB.
 */
export function askAdmin(
  address: Address,
  path: string,
  { timeoutMs, method = 'GET', token, agent }: AdminRequest,
): Promise<HttpAnswer> {
  let target: HttpTarget;
  try {
    target = adminTarget(address);
  } catch (error) {
    return Promise.reject(error);
  }
  const headers = {
    host: 'localhost',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return httpRequest({ target, method, path, headers, agent, timeoutMs, maxBytes: MAX_BODY_BYTES });
}
