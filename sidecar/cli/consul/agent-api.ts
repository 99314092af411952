import { Agent } from 'node:http';
import { type HttpAnswer, type HttpRequest, httpRequest } from '../http-request.js';

const TIMEOUT_MS = 5_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;

type Options = Pick<HttpRequest, 'timeoutMs' | 'body'>;

/** HTTP API of the agent of `up --consul dev`, on 127.0.0.1 and one kept connection. */
export class AgentApi {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(private readonly port: number) {}

  get(path: string, timeoutMs = TIMEOUT_MS): Promise<HttpAnswer> {
    return this.request('GET', path, { timeoutMs });
  }

  post(path: string, body: unknown): Promise<HttpAnswer> {
    return this.request('POST', path, { timeoutMs: TIMEOUT_MS, body: JSON.stringify(body) });
  }

  put(path: string, body?: unknown): Promise<HttpAnswer> {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    return this.request('PUT', path, { timeoutMs: TIMEOUT_MS, ...sent });
  }

  delete(path: string): Promise<HttpAnswer> {
    return this.request('DELETE', path, { timeoutMs: TIMEOUT_MS });
  }

  /** `path` from `/v1` on. Rejects when there is no whole answer in time. */
  private request(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    options: Options,
  ): Promise<HttpAnswer> {
    const fixed = {
      target: { host: '127.0.0.1', port: this.port },
      agent: this.agent,
      maxBytes: MAX_BODY_BYTES,
    };
    return httpRequest({ ...fixed, method, path: `/v1${path}`, ...options });
  }

  /** Closes the connection; the next request opens a new one. */
  close(): void {
    this.agent.destroy();
  }
}
