/** Asks a Consul agent of our own over its HTTP API; bounded in time and size. For `up --consul dev` only. */

import { Agent, request } from 'node:http';

export interface AgentAnswer {
  readonly status: number;
  readonly body: string;
}

const TIMEOUT_MS = 5_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Keeps one connection. `port`: on 127.0.0.1. */
export class AgentApi {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(private readonly port: number) {}

  /** `path` from `/v1` on. Rejects when there is no whole answer in time. */
  ask(method: 'GET' | 'POST', path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<AgentAnswer> {
    const target = { host: '127.0.0.1', port: this.port, path: `/v1${path}`, method, agent: this.agent };
    return new Promise((resolve, reject) => {
      const asked = request(target, (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on('error', reject).on('data', (part: Buffer) => {
          size += part.length;
          if (size > MAX_BODY_BYTES) asked.destroy(new Error('the answer is too large'));
          else parts.push(part);
        });
        response.on('end', () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() });
        });
      });
      const timer = setTimeout(() => asked.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
      asked.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Gives the connection back; asking again makes a new one. */
  close(): void {
    this.agent.destroy();
  }
}
