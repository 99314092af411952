import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Address } from '../config/model.js';
import { ListenSockets, SOCKET_NAMES } from '../runtime/process/listen-sockets.js';
import type { Clock } from '../runtime/time/clock.js';
import { type Answer, live, metrics, pathOf, ready, started, text, writeAnswer } from './answers.js';
import { ConnectionPlaces } from './http-connection-places.js';
import type { AdminServer } from './server.js';
import type { SidecarView } from './view.js';

/** What the listener reads of a sidecar: nothing that changes one. */
export type ObservedView = Pick<SidecarView, 'notReady' | 'notStarted' | 'metrics'>;

/** What `startObserve` gets beside the view. */
export interface ObserveDeps {
  readonly clock: Pick<Clock, 'now'>;
  /** Inherited sockets; absent: the listener binds its own. */
  readonly sockets?: Pick<ListenSockets, 'listen' | 'close'> | undefined;
  /** Of the socket. Default: that of `observe`. */
  readonly name?: string;
}

/** Connections in all, and from one address: one peer cannot take those of the others. */
const MAX_CONNECTIONS = 128;
const MAX_CONNECTIONS_OF_PEER = 16;
const MAX_HEADER_BYTES = 8_192;
/** From the first byte of a request to the last of its header. */
const HEADER_LIMIT_MS = 5_000;
/** A connection on which nothing moves, also while an answer is read, is closed after this time. */
const IDLE_LIMIT_MS = 90_000;
/** Of one connection; then it is closed, so that no peer keeps one for ever. */
const MAX_REQUESTS = 1_000;
/** A scrape within this time of the last gets the same text: a flood of scrapes costs one rendering a second. */
const FRESH_MS = 1_000;

const PATHS = ['/metrics', '/ready', '/started', '/live'] as const;
const LISTING = PATHS.map((path) => `  GET ${path}\n`).join('');

/**
 * Starts the read-only listener: `/metrics`, `/ready`, `/started` and `/live` for GET and HEAD, and nothing
 * else, so that it may be open to a network while the admin port is not. Any Host header is taken:
 * nothing here can be changed, and Prometheus asks by DNS names. A request with a body is refused
 * and its connection closed, with the body unread.
 *
 * Rejects with the system's error (EADDRINUSE, EACCES …) when it cannot listen.
 */
export async function startObserve(
  listen: Address,
  view: ObservedView,
  { clock, sockets = new ListenSockets(), name = SOCKET_NAMES.observe }: ObserveDeps,
): Promise<AdminServer> {
  const scrape = new SharedScrape(view, clock);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADER_LIMIT_MS,
      requestTimeout: HEADER_LIMIT_MS,
      keepAliveTimeout: IDLE_LIMIT_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void handle({ view, scrape, server }, request, response),
  );
  server.maxRequestsPerSocket = MAX_REQUESTS;
  const places = new ConnectionPlaces(server, {
    all: MAX_CONNECTIONS,
    ofPeer: MAX_CONNECTIONS_OF_PEER,
    idleMs: IDLE_LIMIT_MS,
  });
  // What asks to be continued or upgraded is a request with more to come: neither is taken.
  for (const event of ['checkContinue', 'checkExpectation'] as const)
    server.on(event, (request, response) => refuse(request, response, text(417, 'no body is taken\n')));
  for (const event of ['connect', 'upgrade'] as const)
    server.on(event, (_request: IncomingMessage, socket: Socket) => socket.destroy());
  const address = await sockets.listen(name, server, listen);
  server.on('error', () => {}); // a connection that could not be accepted
  return {
    address,
    retire: () => sockets.close(server),
    close: () =>
      new Promise((resolve) => {
        server.once('close', resolve);
        sockets.close(server);
        server.closeAllConnections();
        for (const socket of [...places.sockets]) socket.destroy();
      }),
  };
}

interface Observed {
  readonly view: ObservedView;
  readonly scrape: SharedScrape;
  readonly server: Server;
}

async function handle(
  { view, scrape, server }: Observed,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refused = refusalOf(request);
  if (refused !== undefined) return refuse(request, response, refused);
  let answer: Answer;
  try {
    answer = await answerTo(pathOf(request), view, scrape);
  } catch {
    answer = text(500, 'the sidecar could not answer this\n');
  }
  // A successor has the socket: the next request of this connection should go there.
  const headers = server.listening ? {} : { connection: 'close' };
  writeAnswer(request, response, { ...answer, headers: { ...answer.headers, ...headers } });
}

function answerTo(path: string, view: ObservedView, scrape: SharedScrape): Answer | Promise<Answer> {
  if (path === '/metrics') return scrape.answer();
  if (path === '/ready') return ready(view);
  return path === '/started' ? started(view) : live();
}

/** Why a request is not answered: its path, its method, or its body; undefined when it is. */
function refusalOf(request: IncomingMessage): Answer | undefined {
  const { method = 'GET', headers } = request;
  if (!PATHS.some((path) => path === pathOf(request)))
    return text(404, `not found; this listener has:\n${LISTING}`);
  if (method !== 'GET' && method !== 'HEAD')
    return { ...text(405, `${pathOf(request)} takes GET, HEAD\n`), headers: { allow: 'GET, HEAD' } };
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  return hasBody ? text(413, 'no body is taken\n') : undefined;
}

/** Answers, and closes the connection: what follows on it is not read. */
function refuse(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  writeAnswer(request, response, { ...answer, headers: { ...answer.headers, connection: 'close' } });
}

/** The text of `/metrics`, which scrapes within `FRESH_MS` of each other share. */
class SharedScrape {
  private last: Promise<Answer> | undefined;
  private atMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly view: ObservedView,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  answer(): Promise<Answer> {
    const nowMs = this.clock.now();
    if (this.last !== undefined && nowMs - this.atMs < FRESH_MS) return this.last;
    this.atMs = nowMs;
    this.last = metrics(this.view);
    // A rendering that failed is not kept.
    this.last.catch(() => {
      this.last = undefined;
    });
    return this.last;
  }
}
