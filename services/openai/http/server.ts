/** The HTTP side: OpenAI's routes, who may call, and what is told about the service. */
import { randomUUID } from 'node:crypto';
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { type AnswerForm, type AnswerHead, ChatForm, CompletionForm } from '../api/answer-form.js';
import { ApiError, badRequest, unavailable } from '../api/errors.js';
import { type Generation, readChat, readCompletion } from '../api/request.js';
import type { CallMetadata, EngineClient } from '../engine/engine-client.js';
import type { Model } from '../engine/model.js';
import { complete } from './completions.js';
import type { Caller, Keys } from './keys.js';
import type { Metrics, Operation } from './metrics.js';
import { pageRefusal } from './page-guard.js';
import { every, ReadLimit } from './read-limit.js';
import { onResponseEnd } from './response-end.js';

export interface ServerOptions {
  /** `undefined`: everybody may call. */
  readonly keys: Keys | undefined;
  /** Where everybody may call: names that the service is called by, beside IP addresses and localhost; in lower case. */
  readonly hosts: ReadonlySet<string>;
  /** `undefined` while it is loaded. */
  readonly model: () => Model | undefined;
  readonly engineOf: (caller: Caller) => EngineClient;
  readonly metrics: Metrics;
  readonly maxBodyBytes: number;
  readonly maxInFlight: number;
  readonly log: (message: string) => void;
  /** Seconds since 1970 are taken from it. */
  readonly date: () => number;
  /** Milliseconds of a clock that only goes on. */
  readonly now: () => number;
}

interface Kind {
  readonly operation: Operation;
  readonly idPrefix: string;
  readonly read: (body: unknown) => Generation;
  readonly form: (head: AnswerHead) => AnswerForm;
}

const CHAT: Kind = {
  operation: 'chat',
  idPrefix: 'chatcmpl-',
  read: readChat,
  form: (head) => new ChatForm(head),
};

const COMPLETION: Kind = {
  operation: 'text_completion',
  idPrefix: 'cmpl-',
  read: readCompletion,
  form: (head) => new CompletionForm(head),
};

const HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
/** For the whole request, body included. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than proxies keep a connection, so that they close it first. */
const KEEP_ALIVE_MS = 75_000;
const MAX_CONNECTIONS = 4_096;
/** A client that has not read what was sent to it after so long keeps its place from others. */
const READ_LIMIT_MS = 60_000;
/** Anybody may ask these. */
const OPEN_ROUTES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);
const NO_KEYS: Caller = { name: 'anonymous', engine: undefined };

/** Keeps track of who calls; fastify has no typed place for it without a declaration of its own. */
const callers = new WeakMap<FastifyRequest, Caller>();

export function createServer(options: ServerOptions): FastifyInstance {
  const { model, metrics, keys } = options;
  const server = fastify({
    bodyLimit: options.maxBodyBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    http: { maxHeaderSize: HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS },
    genReqId: (request) => requestId(request.headers['x-request-id']),
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  server.setErrorHandler<FastifyError>((error, request, reply) =>
    sendError(toldError(error, options), request, reply),
  );
  server.setNotFoundHandler((request) => {
    throw new ApiError(`There is no ${request.method} ${request.url.split('?')[0]}.`, {
      status: 404,
      type: 'invalid_request_error',
      code: 'unknown_url',
    });
  });

  const readLimit = new ReadLimit({ limitMs: READ_LIMIT_MS, now: options.now, every });
  let inFlight = 0;
  let isClosing = false;
  server.addHook('preClose', async () => {
    isClosing = true;
  });
  server.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    readLimit.watch(reply.raw);
    onResponseEnd(reply.raw, () => {
      // The server waits for connections that became idle after it began to close.
      if (isClosing) setImmediate(() => server.server.closeIdleConnections());
    });
    if (OPEN_ROUTES.has(request.routeOptions.url ?? '')) return;
    const refusal = keys === undefined ? pageRefusal(request.raw, options.hosts) : undefined;
    if (refusal !== undefined)
      throw new ApiError(refusal, { status: 403, type: 'permission_error', code: 'cross_site' });
    const caller = keys === undefined ? NO_KEYS : keys.callerOf(request.headers.authorization);
    if (caller === undefined)
      throw new ApiError('The API key is missing or unknown.', {
        status: 401,
        type: 'authentication_error',
        code: 'invalid_api_key',
        headers: { 'www-authenticate': 'Bearer' },
      });
    callers.set(request, caller);
    if (request.method !== 'POST') return;
    if (inFlight >= options.maxInFlight)
      throw unavailable(
        'The service answers as many requests as it may at once.',
        'too_many_requests_in_flight',
      );
    metrics.inFlight.set(++inFlight);
    onResponseEnd(reply.raw, () => metrics.inFlight.set(--inFlight));
  });

  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', () => {
    requireModel(model());
    return { status: 'ok' };
  });
  server.get('/metrics', async (_, reply) => {
    reply.type('text/plain; version=0.0.4');
    return metrics.text();
  });
  const listed = (id: string) => ({ id, object: 'model', created: 0, owned_by: 'outrider' });
  server.get('/v1/models', () => ({ object: 'list', data: requireModel(model()).names.map(listed) }));
  // Names of models have slashes.
  server.get<{ Params: { '*': string } }>('/v1/models/*', (request) => {
    const name = request.params['*'];
    requireName(name, requireModel(model()));
    return listed(name);
  });

  const answerTo = (kind: Kind) => (request: FastifyRequest, reply: FastifyReply) =>
    answer(kind, options, request, reply);
  server.post('/v1/completions', answerTo(COMPLETION));
  server.post('/v1/chat/completions', answerTo(CHAT));
  return server;
}

async function answer(
  kind: Kind,
  options: ServerOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { model, metrics, engineOf, date, now } = options;
  const begun = now();
  const caller = callers.get(request) ?? NO_KEYS;
  try {
    const loaded = requireModel(model());
    const generation = kind.read(request.body);
    requireName(generation.model, loaded);
    const id = `${kind.idPrefix}${randomUUID().replaceAll('-', '')}`;
    const { includeUsage } = generation;
    const head = { id, created: Math.floor(date() / 1000), model: generation.model, includeUsage };
    const completed = await complete({
      id,
      caller: caller.name,
      generation,
      form: kind.form(head),
      model: loaded,
      engine: engineOf(caller),
      metadata: callMetadata(request, caller),
      reply,
      now,
      told: (error) => toldError(error as FastifyError, options),
      used: (usage) => metrics.used(caller.name, usage),
    });
    if (completed === undefined) return reply;
    if ('failure' in completed) metrics.failed(kind.operation, completed.failure.status, now() - begun);
    else metrics.answered(kind.operation, completed.usage, completed.times);
    return reply;
  } catch (error) {
    metrics.failed(kind.operation, error instanceof ApiError ? error.status : 500, now() - begun);
    throw error;
  }
}

function requireModel(model: Model | undefined): Model {
  if (model !== undefined) return model;
  throw unavailable('The model is being loaded.', 'model_loading');
}

function requireName(name: string, { names }: Model): void {
  if (names.includes(name)) return;
  throw new ApiError(`The model '${name}' does not exist; there is ${names.join(', ')}.`, {
    status: 404,
    type: 'invalid_request_error',
    param: 'model',
    code: 'model_not_found',
  });
}

/** Headers of the client that the mesh knows, and the name that its key has. */
function callMetadata(request: FastifyRequest, caller: Caller): CallMetadata {
  const metadata: Record<string, string> = { 'x-request-id': request.id, 'openai-caller': caller.name };
  for (const key of ['traceparent', 'tracestate']) {
    const value = request.headers[key];
    if (typeof value === 'string' && /^[\x20-\x7e]{1,512}$/.test(value)) metadata[key] = value;
  }
  return metadata;
}

const requestId = (given: string | string[] | undefined): string =>
  typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given) ? given : randomUUID();

/** Faults of the service are logged, and their texts are not told. */
function toldError(error: FastifyError, { log }: ServerOptions): ApiError {
  if (error instanceof ApiError) return error;
  const { statusCode: status = 500 } = error;
  if (status === 413)
    return new ApiError('The request body is too large.', {
      status,
      type: 'invalid_request_error',
      code: error.code,
    });
  if (status >= 400 && status < 500 && status !== 400)
    return new ApiError(error.message, { status, type: 'invalid_request_error', code: error.code });
  if (status === 400) return badRequest(error.message, undefined, error.code);
  if (status === 503) return unavailable('The service is shutting down.', 'shutting_down');
  log(`a request failed: ${error.stack ?? error.message}`);
  return new ApiError('The service failed.', { status: 500, type: 'server_error' });
}

function sendError(error: ApiError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.raw.destroyed && !request.raw.complete) reply.header('connection', 'close');
  return reply.code(error.status).headers(error.headers).send(error.body);
}
