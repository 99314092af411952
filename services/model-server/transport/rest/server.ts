/**
 * The REST half of the Open Inference Protocol with Triton's binary tensor data, answered by the handlers of the gRPC half.
 * It is off unless asked for, and for a server without a sidecar: one behind a sidecar may listen on a Unix socket only, so that
 * nothing on the network walks around the intentions.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ModelInferResponse } from '../../../../proto/messages.js';
import type { Signature } from '../../models/signature.js';
import type { Call, ServedMethod } from '../../protocol/call.js';
import { toRpcError } from '../../protocol/decode.js';
import { detailsOf } from '../../protocol/status-details.js';
import { invalidArgument, messageOf, status } from '../../rpc.js';
import { type ListenAddress, removeStaleSocket } from '../listen.js';
import { MAX_MESSAGE_BYTES, type Transport } from '../transport.js';
import { Bodies, BodyTooLong } from './bodies.js';
import { onExchangeEnd } from './exchange-end.js';
import { parseJson } from './json.js';
import { pageRefusal } from './page-guard.js';
import { type Route, routeOf } from './routes.js';
import { readInfer, readParameters, writeInfer } from './tensors.js';

/** What the REST server needs of the model server. */
export interface RestDeps {
  readonly methods: readonly ServedMethod[];
  /** What the bodies of requests that are not answered may hold in all. */
  readonly memoryBytes: number;
  /** Hosts that the server is known by, beside IP addresses, localhost and the host that it listens on. */
  readonly hosts: readonly string[];
  /** What a model takes; throws NOT_FOUND. */
  readonly inputsOf: (name: string, version: string) => Signature['inputs'];
}

/** How long a caller may take for its headers and body, ms. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 120_000;
/** Connections at once, as at the gRPC listener. */
const MAX_CONNECTIONS = 1024;
/** Length of the JSON at the head of a body that has binary tensor data behind it. */
const LENGTH_HEADER = 'inference-header-content-length';
/** Headers that a sidecar vouches for, such as who calls. No sidecar stands in front of this server. */
const SIDECAR_PREFIX = 'outrider-';

const HTTP_CODES: Readonly<Record<number, number>> = {
  [status.INVALID_ARGUMENT]: 400,
  [status.NOT_FOUND]: 404,
  [status.FAILED_PRECONDITION]: 400,
  [status.ALREADY_EXISTS]: 409,
  [status.RESOURCE_EXHAUSTED]: 429,
  [status.UNIMPLEMENTED]: 501,
  [status.UNAVAILABLE]: 503,
  [status.DEADLINE_EXCEEDED]: 504,
};

/** Rejects with an Error that says why the address cannot be listened on. */
export async function startRest(deps: RestDeps, listen: ListenAddress): Promise<Transport> {
  const unary = new Map(
    deps.methods.flatMap((served) =>
      served.kind === 'unary' ? [[served.method.path.split('/')[2]!, served] as const] : [],
    ),
  );
  const bodies = new Bodies({ each: MAX_MESSAGE_BYTES, all: deps.memoryBytes });
  // No page reaches a Unix socket; whatever stands in front of one has its own names.
  const refusalOf =
    listen.kind === 'unix' ? () => undefined : (request: IncomingMessage) => pageRefusal(request, names);
  const names = new Set([...deps.hosts, ...(listen.kind === 'tcp' ? [listen.host] : [])].map(lowerCase));
  const inFlight = new Set<ServerResponse>();
  let isStopping = false;
  const server = createServer((request, response) => {
    if (isStopping) response.shouldKeepAlive = false;
    inFlight.add(response);
    onExchangeEnd(response, () => inFlight.delete(response));
    const refusal = refusalOf(request);
    if (refusal !== undefined) {
      request.resume();
      return send(response, 403, { error: refusal });
    }
    void answer({ ...deps, unary, bodies }, request, response).catch((error: unknown) =>
      fail(response, error),
    );
  });
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = REQUEST_MS;
  server.maxConnections = MAX_CONNECTIONS;
  const target = await bind(server, listen);
  return {
    target,
    stop: () =>
      new Promise<void>((resolve) => {
        isStopping = true;
        // Node takes calls on connections that are kept alive, also after close(): a busy caller would be served for ever.
        for (const response of inFlight) response.shouldKeepAlive = false;
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
    abort: () => server.closeAllConnections(),
    heldBytes: () => bodies.heldBytes,
  };
}

type Unary = Extract<ServedMethod, { kind: 'unary' }>;
type Serving = RestDeps & { readonly unary: ReadonlyMap<string, Unary>; readonly bodies: Bodies };

async function answer(serving: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pathname = (request.url ?? '/').split('?', 1)[0]!;
  const route = routeOf(request.method ?? 'GET', pathname);
  if (route === undefined) {
    request.resume();
    return send(response, 404, {
      error: `${request.method} ${detailsOf(pathname)}: found no such path, expected one of the Open Inference Protocol below /v2`,
    });
  }
  const call = new RestCall(request, response);
  const body = await serving.bodies.read(request, response);
  if (route.method === 'ModelInfer') return infer(serving, route, { body, call, response });
  const found = await ask<Record<string, unknown>>(
    serving.unary.get(route.method)!,
    requestFor(route, body),
    call,
  );
  if (route.method === 'ServerLive' || route.method === 'ServerReady' || route.method === 'ModelReady') {
    const isSo = found['live'] === true || found['ready'] === true;
    return send(response, isSo ? 200 : 400, isSo ? found : { error: 'not ready' });
  }
  send(response, 200, shownFor(route.method, found));
}

/** What REST shows of a response: the protocol's JSON leaves out the message around a configuration or an index. */
function shownFor(method: Route['method'], found: Record<string, unknown>): unknown {
  if (method === 'ModelConfig') return found['config'];
  if (method === 'RepositoryIndex') return found['models'];
  if (method !== 'ServerMetadata') return found;
  return { ...found, extensions: [...(found['extensions'] as string[]), 'binary_tensor_data'] };
}

interface InferCall {
  readonly body: Buffer;
  readonly call: RestCall;
  readonly response: ServerResponse;
}

async function infer(
  serving: Serving,
  { model, version }: Route,
  { body, call, response }: InferCall,
): Promise<void> {
  const { json, binary } = parts(body, call.header(LENGTH_HEADER));
  const inputs = serving.inputsOf(model, version);
  const asked = readInfer({ name: model, version, inputs }, json, binary);
  const found = await ask<ModelInferResponse>(serving.unary.get('ModelInfer')!, asked.request, call);
  const written = writeInfer(found, asked.binary);
  if (written.binary.length === 0) return send(response, 200, written.json);
  const head = Buffer.from(JSON.stringify(written.json));
  const whole = Buffer.concat([head, ...written.binary]);
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': whole.length,
    [LENGTH_HEADER]: head.length,
  });
  response.end(whole);
}

function parts(body: Buffer, header: string | undefined): { json: unknown; binary: Buffer } {
  const length = header === undefined ? body.length : Number(header);
  if (!Number.isSafeInteger(length) || length < 0 || length > body.length)
    throw invalidArgument(
      `${LENGTH_HEADER}: found '${header?.slice(0, 30)}', expected at most the ${body.length} bytes of the body`,
    );
  return { json: parseJson(body.subarray(0, length)), binary: body.subarray(length) };
}

function requestFor({ method, model, version }: Route, body: Buffer): unknown {
  switch (method) {
    case 'RepositoryIndex': {
      const { ready } = (body.length === 0 ? {} : (parseJson(body) ?? {})) as { ready?: unknown };
      return { repository_name: '', ready: ready === true };
    }
    case 'RepositoryModelLoad':
    case 'RepositoryModelUnload': {
      const { parameters } = (body.length === 0 ? {} : (parseJson(body) ?? {})) as { parameters?: unknown };
      return { repository_name: '', model_name: model, parameters: readParameters(parameters ?? {}) };
    }
    default:
      return { name: model, version };
  }
}

function ask<Response>({ handle }: Unary, request: unknown, call: Call): Promise<Response> {
  return new Promise((resolve, reject) =>
    handle(request, call, (error, response) => {
      if (error === undefined) resolve(response as Response);
      else reject(error);
    }),
  );
}

function fail(response: ServerResponse, error: unknown): void {
  if (error instanceof BodyTooLong) return send(response, 413, { error: error.message });
  const { code, message } = toRpcError(error);
  send(response, HTTP_CODES[code] ?? 500, { error: detailsOf(message) });
}

function send(response: ServerResponse, code: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

class RestCall implements Call {
  readonly deadlineMs = Number.POSITIVE_INFINITY;
  cancelled = false;
  private readonly listeners: (() => void)[] = [];

  constructor(
    private readonly request: IncomingMessage,
    response: ServerResponse,
  ) {
    onExchangeEnd(response, () => {
      if (response.writableFinished) return;
      this.cancelled = true;
      for (const listener of this.listeners) listener();
    });
  }

  onCancelled(listener: () => void): void {
    this.listeners.push(listener);
  }

  header(name: string): string | undefined {
    return name.startsWith(SIDECAR_PREFIX) ? undefined : this.request.headers[name]?.toString();
  }
}

const lowerCase = (text: string): string => text.toLowerCase();

async function bind(server: Server, listen: ListenAddress): Promise<string> {
  if (listen.kind === 'unix') await removeStaleSocket(listen.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`REST: cannot listen: ${messageOf(error)}`)));
    const where =
      listen.kind === 'unix'
        ? { path: listen.path }
        : { host: listen.host.replace(/^\[|\]$/g, ''), port: listen.port };
    server.listen(where, resolve);
  });
  // As when no file descriptor is left for a connection: that one is lost, and the server goes on.
  server.removeAllListeners('error').on('error', () => {});
  if (listen.kind === 'unix') return `unix:${listen.path}`;
  return `${listen.host}:${(server.address() as AddressInfo).port}`;
}
