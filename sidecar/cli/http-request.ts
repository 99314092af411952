import { type Agent, request } from 'node:http';
import { present } from '../config/present.js';

/** A port, or a Unix socket. */
export type HttpTarget = { readonly host: string; readonly port: number } | { readonly socketPath: string };

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The header `Date`: the clock of the server, to the second; absent: it sent none. */
  readonly date?: string;
}

export interface HttpRequest {
  readonly target: HttpTarget;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Keeps the connection for the next request; absent: one connection for this request. */
  readonly agent?: Agent | undefined;
  /** Until the whole answer has arrived. */
  readonly timeoutMs: number;
  /** A longer answer is an error. */
  readonly maxBytes: number;
}

/**
 * One HTTP request to a server on this machine. Rejects when there is no whole answer in time and
 * within the size.
 */
export function httpRequest(asked: HttpRequest): Promise<HttpAnswer> {
  const { target, body, agent, timeoutMs, maxBytes, ...options } = asked;
  return new Promise((resolve, reject) => {
    const sent = request({ ...target, ...options, agent: agent ?? false }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('error', reject).on('data', (part: Buffer) => {
        size += part.length;
        if (size > maxBytes) sent.destroy(new Error('the answer is too large'));
        else parts.push(part);
      });
      response.on('end', () => {
        clearTimeout(timer);
        const { statusCode: status = 0, headers } = response;
        resolve({ status, body: Buffer.concat(parts).toString(), ...present('date', headers.date) });
      });
    });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    sent.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    sent.end(body);
  });
}
