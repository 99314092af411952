import { Agent as HttpAgent, type OutgoingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions as HttpsAgentOptions } from 'node:https';
import { stringify } from 'node:querystring';
import type { Writable } from 'node:stream';
import Consul from 'consul';
import { defined, present } from '../../../config/present.js';
import type { Health } from '../../../core/discovery/eviction-guard.js';
import { DialledAgent } from '../../../runtime/dialled-agent.js';
import type { Timers } from '../../../runtime/time/timers.js';
import type { Network } from '../../../transport/network.js';
import { Exchange } from './request.js';
import { AgentError, type AgentReader, type Answer, type GetOptions, type Query } from './response.js';
import { type AgentSettings, describeAddress } from './settings.js';

/** Connections that are kept without a request; a blocking query holds its own. */
const MAX_IDLE_SOCKETS = 4;
const KEEP_ALIVE_PROBE_MS = 30_000;
const USER_AGENT = 'outrider';

/**
 * Requests to the local Consul agent. What the npm `consul` client has a typed function for goes through it; this is its
 * only importer. Everything else is sent over node:http, on the same connections: blocking queries, whose bodies are kept
 * as bytes, bounded and parsed elsewhere; the endpoints of Connect, which the client has not; a registration, of which it
 * drops the weights; and the state of a check, whose output it puts into the URL. No error holds the token.
 */
export class ConsulAgent implements AgentReader {
  /** For messages: `http://127.0.0.1:8500`. */
  readonly where: string;
  private readonly client: Client;
  private readonly sockets: HttpAgent;
  private readonly exchanges = new Set<Exchange>();
  private isClosed = false;

  /** @param network where connections without TLS come from; absent: the operating system. */
  constructor(
    private readonly settings: AgentSettings,
    private readonly timers: Timers,
    network?: Network,
  ) {
    this.where = describeAddress(settings.address);
    this.sockets = socketsFor(settings, network);
    this.client = clientFor(settings, this.sockets);
  }

  /** Reads a path below `/v1`; blocks where the query holds `index` and `wait`. */
  get(path: string, query: Query, options: GetOptions): Promise<Answer> {
    return this.request({ method: 'GET', path, query, headers: {} }, options);
  }

  /** @param body sent as JSON. */
  put(path: string, query: Query, body: unknown, options: GetOptions): Promise<Answer> {
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      'content-length': content?.length ?? 0,
      ...(content === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
    };
    return this.request({ method: 'PUT', path, query, headers, content }, options);
  }

  /** Takes a service and its checks out of the agent. */
  deregisterService(id: string, options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client.agent.service.deregister({ ...common, id }));
  }

  /** Writes a value of the KV store. */
  setKey(key: string, value: string, options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client.kv.set({ ...common, key, value }));
  }

  /** The address of the leader of the servers, as JSON; shows that the agent reaches them. */
  leader(options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client.status.leader(common));
  }

  /** State of a TTL check, which starts its TTL anew. */
  updateCheck(id: string, status: Health, output: string, options: GetOptions): Promise<Answer> {
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

  private request({ method, path, query, headers, content }: Request, options: GetOptions): Promise<Answer> {
    const { address } = this.settings;
    const search = Object.keys(query).length === 0 ? '' : `?${stringify(query)}`;
    const [place, base] =
      address.kind === 'unix'
        ? [{ socketPath: address.socketPath }, '']
        : [{ host: address.hostname, port: address.port }, address.path];
    const where = { ...place, protocol: address.protocol, path: `${base}/v1${path}${search}` };
    return this.exchange(options, ({ ctx, token }) => {
      const all = { 'user-agent': USER_AGENT, ...headers, ...present('x-consul-token', token) };
      return ctx.send({ ...where, agent: this.sockets, method, headers: all }, content);
    });
  }

  private async exchange(options: GetOptions, start: (common: Common) => Promise<unknown>): Promise<Answer> {
    const { signal, timeoutMs } = options;
    const cancelled = new AgentError('cancelled', 'the read was cancelled');
    if (this.isClosed || signal?.aborted === true) throw cancelled;
    const token = this.settings.token();
    const ctx = new Exchange(this.where, token, options.maxBytes);
    const abort = (): void => ctx.fail(cancelled);
    signal?.addEventListener('abort', abort, { once: true });
    const late = `${this.where} did not answer within ${Math.round(timeoutMs)} ms`;
    const limit = this.timers.after(timeoutMs, () => ctx.fail(new AgentError('timeout', late)));
    this.exchanges.add(ctx);
    try {
      await start({ ctx, ...present('token', token) });
    } catch (error) {
      // The client rejects every status but 2xx by itself.
      if ((error as { isResponse?: boolean }).isResponse !== true) throw ctx.errorFrom(error);
    } finally {
      limit.cancel();
      signal?.removeEventListener('abort', abort);
      this.exchanges.delete(ctx);
    }
    return ctx.answer();
  }
}

/** A request over node:http, its path from `/v1` on. */
interface Request {
  readonly method: 'GET' | 'PUT';
  readonly path: string;
  readonly query: Query;
  readonly headers: OutgoingHttpHeaders;
  readonly content?: Buffer | undefined;
}

/** What the functions of the client take beside their own options. */
interface Common {
  /** Ends the request on its event `cancel`. */
  readonly ctx: Exchange;
  readonly token?: string;
}

/** The extensions of papi, the client's base (documented there), which the client's types leave out. */
interface Client extends Consul {
  _ext(event: 'onRequest', step: (request: PapiRequest, next: () => void) => void): void;
}

interface PapiRequest {
  ctx?: unknown;
  pipe?: Writable;
}

/** The npm client on the given connections. Its base URL needs a host, also for a Unix socket. */
function clientFor({ address }: AgentSettings, sockets: HttpAgent): Client {
  const isUnix = address.kind === 'unix';
  const options = {
    baseUrl: `${isUnix ? `${address.protocol}//localhost` : describeAddress(address)}/v1`,
    agent: sockets,
    headers: { 'user-agent': USER_AGENT },
    ...(isUnix ? { socketPath: address.socketPath } : {}),
  };
  const client = new Consul(options) as Client;
  // Bodies are bounded here too.
  client._ext('onRequest', (request, next) => {
    if (request.ctx instanceof Exchange) request.pipe = request.ctx.receiver();
    next();
  });
  return client;
}

/** The connections to the agent, kept alive: TLS with the CA and client certificate of the settings. */
function socketsFor({ address, tls }: AgentSettings, network: Network | undefined): HttpAgent {
  const options = {
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_PROBE_MS,
    maxFreeSockets: MAX_IDLE_SOCKETS,
    // The client would look up an IPv6 address with its brackets on.
    ...(address.kind === 'tcp' ? { host: address.hostname } : {}),
  };
  if (address.protocol === 'http:' && network !== undefined)
    return new DialledAgent(options, () =>
      network.dial(
        address.kind === 'unix'
          ? { kind: 'unix', path: address.socketPath }
          : { kind: 'tcp', host: address.hostname, port: address.port },
      ),
    );
  if (address.protocol === 'http:') return new HttpAgent(options);
  // A resumed session would not verify the agent against new authorities.
  return new TlsAgent({ ...options, maxCachedSessions: 0 }, tls);
}

/** Connections with the certificates of the moment in which they are opened. */
class TlsAgent extends HttpsAgent {
  constructor(
    options: HttpsAgentOptions,
    private readonly tls: AgentSettings['tls'],
  ) {
    super(options);
  }

  override createConnection(
    options: Parameters<HttpsAgent['createConnection']>[0],
    callback: Parameters<HttpsAgent['createConnection']>[1],
  ) {
    const { ca, cert, key, serverName, verify } = this.tls();
    const material = defined({ ca: ca && [...ca], cert, key, servername: serverName });
    return super.createConnection({ ...options, rejectUnauthorized: verify, ...material }, callback);
  }
}
