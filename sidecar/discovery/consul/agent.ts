/**
 * Requests to the local Consul agent, on the npm `consul` client, of which this is the only importer. The client
 * brings connections, encoding, abort and timeout; added here are what it lacks: a bound on a body while it is
 * being received, an end to a read whose connection breaks in mid-body, the Connect endpoints, and errors of one line
 * that never hold the token.
 */

import { EventEmitter } from 'node:events';
import { Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Writable } from 'node:stream';
import Consul from 'consul';
import { BodyBuffer } from './body-buffer.js';
import { type AgentSettings, describeAddress } from './settings.js';

export interface Answer {
  readonly status: number;
  /** `X-Consul-Index`, for people: inexact beyond 2^53. Undefined when absent or no number. */
  readonly index: number | undefined;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** `status`: an answer came, and it was not 2xx. `cancelled`: by the signal, or by `close`. */
export type AgentFault = 'unreachable' | 'timeout' | 'too-large' | 'status' | 'cancelled';

export class AgentError extends Error {
  /** @param message one line fit for a log: "403 Permission denied". */
  constructor(
    readonly fault: AgentFault,
    message: string,
    readonly status?: number,
    /** What came with the status, its body cut at 4 KiB. */
    readonly answer?: Answer,
  ) {
    super(message);
    this.name = 'AgentError';
  }
}

export interface GetOptions {
  /** The whole exchange, connecting included. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export type Query = Readonly<Record<string, string>>;

/** What reading needs of an agent. */
export interface AgentReader {
  /**
   * @param path from `/v1` on, its segments percent-encoded: `/health/connect/digits`.
   * @throws AgentError also for every status but 2xx.
   */
  get(path: string, query: Query, options: GetOptions): Promise<Answer>;
}

/** Connections that are kept without a request; a blocking query holds its own. */
const MAX_IDLE_SOCKETS = 4;
const KEEP_ALIVE_PROBE_MS = 30_000;
/** What is kept of an answer that says what went wrong. */
const MAX_FAULT_BYTES = 4_096;

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

  delete(path: string, query: Query, options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client._delete({ ...common, path, query: { ...query } }));
  }

  /**
   * @param definition in the agent's own spelling (`Name`, `Kind`, …): the client's own function of this name drops
   * `Kind` and `Weights`. Checks that are not in it any more are removed.
   */
  registerService(definition: object, options: GetOptions): Promise<Answer> {
    return this.put('/agent/service/register', { 'replace-existing-checks': 'true' }, definition, options);
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

  /** What is registered with this agent: JSON, by id. */
  services(options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client.agent.service.list({ ...common }));
  }

  /** The checks of this agent: JSON, by id. */
  checks(options: GetOptions): Promise<Answer> {
    return this.exchange(options, (common) => this.client.agent.checks({ ...common }));
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
  _delete(request: Request): Promise<unknown>;
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

/** One request and what came back so far. The client ends it on the event `cancel`. */
class Exchange extends EventEmitter {
  private readonly body: BodyBuffer;
  private response: IncomingMessage | undefined;
  private failure: AgentError | undefined;

  constructor(private readonly maxBytes: number) {
    super();
    this.body = new BodyBuffer(maxBytes);
  }

  /** Where the client pipes the answer to. */
  receiver(): Writable {
    const receiver = new Writable({
      // Nothing waits in it, so nothing is gained by pausing the socket.
      highWaterMark: 1024 * 1024,
      write: (chunk: Buffer, _encoding, done) => {
        this.receive(chunk);
        done();
      },
    });
    receiver.once('pipe', (response: IncomingMessage) => this.begin(response));
    return receiver;
  }

  fail(error: AgentError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.emit('cancel');
  }

  answer(): Answer {
    if (this.failure !== undefined) throw this.failure;
    if (this.response === undefined) throw new AgentError('unreachable', 'the agent gave no answer');
    return this.answerOf(this.response);
  }

  errorFrom(error: unknown, where: string, token: string | undefined, timeoutMs: number): AgentError {
    if (this.failure !== undefined) return this.failure;
    if (error instanceof AgentError) return error;
    if ((error as { isResponse?: boolean }).isResponse === true && this.response !== undefined) {
      const answer = this.answerOf(this.response);
      const said = oneLine(answer.body.toString('utf8'), token);
      return new AgentError('status', `${answer.status} ${said}`.trim(), answer.status, answer);
    }
    if ((error as { isTimeout?: boolean }).isTimeout === true)
      return new AgentError('timeout', `${where} did not answer within ${Math.round(timeoutMs)} ms`);
    const { code, message } = error as NodeJS.ErrnoException;
    return new AgentError('unreachable', `${where}: ${oneLine(code ?? message ?? String(error), token)}`);
  }

  private answerOf(response: IncomingMessage): Answer {
    const names = Object.keys(response.headers);
    const index = headerOf(response, 'x-consul-index');
    return {
      status: response.statusCode ?? 0,
      index: index !== undefined && /^\d{1,20}$/.test(index) ? Number(index) : undefined,
      body: this.body.take(),
      headers: Object.fromEntries(names.map((name) => [name, headerOf(response, name)])),
    };
  }

  private begin(response: IncomingMessage): void {
    this.response = response;
    // The client waits for an `end` that does not come when the connection breaks.
    response.once('close', () => {
      if (!response.complete)
        this.fail(new AgentError('unreachable', 'the connection broke within the answer'));
    });
    if (Number(response.headers['content-length']) > this.maxBytes) this.failTooLarge();
  }

  private receive(chunk: Buffer): void {
    if (this.failure !== undefined) return;
    const isFault = Math.floor((this.response?.statusCode ?? 0) / 100) !== 2;
    if (isFault && this.body.length + chunk.length > MAX_FAULT_BYTES) {
      this.body.add(chunk.subarray(0, Math.max(0, MAX_FAULT_BYTES - this.body.length)));
      return;
    }
    if (!this.body.add(chunk)) this.failTooLarge();
  }

  private failTooLarge(): void {
    this.fail(new AgentError('too-large', `the answer is larger than ${this.maxBytes} bytes`));
  }
}

function headerOf(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The first line of a text from outside, short, printable, and without the token should it be quoted there. */
function oneLine(text: string, token: string | undefined): string {
  const plain = token === undefined ? text : text.replaceAll(token, '[token]');
  return (plain.trim().split('\n', 1)[0] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
