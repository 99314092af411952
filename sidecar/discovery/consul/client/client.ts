/**
 * Requests to the local Consul agent, on the npm `consul` client, of which this is the only importer. The client
 * brings connections, encoding, abort and timeout; added are what it lacks: bounded bodies, connections that break
 * (exchange.ts), TLS and Unix sockets, the endpoints it has no function for, and errors that never hold the token.
 */

import type { EventEmitter } from 'node:events';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Writable } from 'node:stream';
import Consul from 'consul';
import { Exchange } from './request.js';
import { AgentError, type AgentReader, type Answer, type GetOptions, type Query } from './response.js';
import { type AgentSettings, describeAddress } from './settings.js';

export {
  AgentError,
  type AgentFault,
  type AgentReader,
  type Answer,
  type GetOptions,
  type Query,
} from './response.js';

/** Connections that are kept without a request; a blocking query holds its own. */
const MAX_IDLE_SOCKETS = 4;
const KEEP_ALIVE_PROBE_MS = 30_000;
export class ConsulAgent implements AgentReader {
  /** For people: `http://127.0.0.1:8500`. */
  readonly where: string;
  private readonly client: Client;
  private readonly sockets: HttpAgent;
  private readonly exchanges = new Set<Exchange>();
  private isClosed = false;

  constructor(private readonly settings: AgentSettings) {
    this.where = describeAddress(settings.address);
    this.sockets = socketsFor(settings);
    this.client = clientFor(settings, this.sockets);
  }

  get(path: string, query: Query, options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client._get({ ...common, path, query: { ...query } }));
  }

  /** @param body sent as JSON. */
  put(path: string, query: Query, body: unknown, options: GetOptions): Promise<Answer> {
    const content = body === undefined ? {} : { body, type: 'json' };
    return this.exchange(options, (common) =>
      this.client._put({ ...common, ...content, path, query: { ...query } }),
    );
  }

  deregisterService(id: string, options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client.agent.service.deregister({ ...common, id }));
  }

  /** State of a TTL check, which starts its TTL anew. The client has this with the output in the URL only. */
  updateCheck(
    id: string,
    status: 'passing' | 'warning' | 'critical',
    output: string,
    options: GetOptions,
  ): Promise<Answer> {
    const path = `/agent/check/update/${encodeURIComponent(id)}`;
    return this.put(path, {}, { Status: status, Output: output }, options);
  }

  /** Ends what is under way as `cancelled`, and closes every connection. */
  close(): void {
    this.isClosed = true;
    for (const exchange of this.exchanges)
      exchange.fail(new AgentError('cancelled', 'the client was closed'));
    this.sockets.destroy();
  }

  private async exchange(options: GetOptions, start: (common: Common) => Promise<unknown>): Promise<Answer> {
    const { signal, timeoutMs } = options;
    if (this.isClosed || signal?.aborted === true)
      throw new AgentError('cancelled', 'the read was cancelled');
    const token = this.settings.token();
    const exchange = new Exchange(options.maxBytes);
    const abort = (): void => exchange.fail(new AgentError('cancelled', 'the read was cancelled'));
    signal?.addEventListener('abort', abort, { once: true });
    this.exchanges.add(exchange);
    try {
      await start({
        ctx: exchange,
        timeout: Math.ceil(timeoutMs),
        ...(token === undefined ? {} : { token, headers: { 'x-consul-token': token } }),
      });
      return exchange.answer();
    } catch (error) {
      throw exchange.errorFrom(error, this.where, token, timeoutMs);
    } finally {
      signal?.removeEventListener('abort', abort);
      this.exchanges.delete(exchange);
    }
  }
}

interface Common {
  readonly ctx: EventEmitter;
  readonly timeout: number;
  /** For the functions of the client. */
  readonly token?: string;
  /** For its generic requests. */
  readonly headers?: Readonly<Record<string, string>>;
}

type Request = Common & {
  readonly path: string;
  readonly query: Record<string, string>;
  readonly body?: unknown;
  readonly type?: string;
};

/** The parts of papi, the client's base, that its types leave out. */
interface Client extends Consul {
  _get(request: Request): Promise<unknown>;
  _put(request: Request): Promise<unknown>;
  _ext(event: 'onRequest', step: (request: PapiRequest, next: () => void) => void): void;
}

interface PapiRequest {
  ctx?: unknown;
  pipe?: Writable;
}

function clientFor({ address }: AgentSettings, sockets: HttpAgent): Client {
  const isUnix = address.kind === 'unix';
  const host = isUnix
    ? 'localhost'
    : address.hostname.includes(':')
      ? `[${address.hostname}]`
      : address.hostname;
  const base = isUnix ? '' : `:${address.port}${address.path}`;
  const options = {
    baseUrl: `${address.protocol}//${host}${base}/v1`,
    agent: sockets,
    headers: { 'user-agent': 'outrider' },
    ...(isUnix ? { socketPath: address.socketPath } : {}),
  };
  const client = new Consul(options) as Client;
  // The client's own functions get bounded bodies this way too.
  client._ext('onRequest', (request, next) => {
    if (request.ctx instanceof Exchange) request.pipe = request.ctx.receiver();
    next();
  });
  return client;
}

function socketsFor({ address, tls }: AgentSettings): HttpAgent {
  const options = {
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_PROBE_MS,
    maxFreeSockets: MAX_IDLE_SOCKETS,
    // The client would look up an IPv6 address with its brackets on.
    ...(address.kind === 'tcp' ? { host: address.hostname } : {}),
  };
  if (address.protocol === 'http:') return new HttpAgent(options);
  const { ca, cert, key, serverName, verify } = tls;
  return new HttpsAgent({
    ...options,
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
}
