/** Asks an admin server over HTTP; bounded in time and size. Used by `up` and `status`. */

import { type Agent, request } from 'node:http';
import type { Address } from '../config/model.js';

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

const MAX_BODY_BYTES = 16 * 1024 * 1024;

export interface AdminQuestion {
  /** Default GET. */
  readonly method?: 'GET' | 'POST';
  /** Keeps the connection for the next question. */
  readonly agent?: Agent;
}

/** Rejects when there is no whole answer within `timeoutMs`. */
export function askAdmin(
  address: Address,
  path: string,
  timeoutMs: number,
  { method = 'GET', agent }: AdminQuestion = {},
): Promise<AdminAnswer> {
  const target =
    address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const asked = request(
      { ...target, method, path, agent: agent ?? false, headers: { host: 'localhost' } },
      (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on('data', (part: Buffer) => {
          size += part.length;
          if (size > MAX_BODY_BYTES) asked.destroy(new Error('the answer is too large'));
          else parts.push(part);
        });
        response.on('end', () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() });
        });
        response.on('error', reject);
      },
    );
    const timer = setTimeout(() => asked.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    asked.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    asked.end();
  });
}
