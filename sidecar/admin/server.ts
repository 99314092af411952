import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Address } from '../config/model.js';
import { isSecretName, REDACTED } from '../runtime/log/logger.js';
import { ListenSockets, SOCKET_NAMES } from '../runtime/process/listen-sockets.js';
import type { Clock } from '../runtime/time/clock.js';
import type { Timers } from '../runtime/time/timers.js';
import { type Answer, live, metrics, ready, started, text, writeAnswer } from './answers.js';
import { addFault, clearFaults, type FaultAdmin, listFaults } from './faults.js';
import { refusal } from './guard.js';
import { HistorySampler } from './history/history-sampler.js';
import { ConnectionPlaces } from './http-connection-places.js';
import type { Reply } from './reply.js';
import { changeRollout, showRollout } from './rollouts.js';
import { statusOf } from './status.js';
import { streamTap } from './tap.js';
import { AdminToken } from './token.js';
import type { SidecarView } from './view.js';

/** What `startAdmin` gets beside the view. */
export interface AdminDeps {
  /** Inherited sockets; absent: the server binds its own. */
  readonly sockets?: ListenSockets | undefined;
  /** Keeps the last half hour for `/history` and the page; absent: none is kept. */
  readonly time?: { readonly clock: Clock; readonly timers: Timers };
  /** File with the token that requests which change something have to bring; absent: none is asked for. */
  readonly tokenFile?: string | undefined;
}

/** A listening admin server, or the read-only listener. */
export interface AdminServer {
  /** Where it listens, with the port that the system assigned for 0. */
  readonly address: Address;
  /**
   * Stops listening, because a successor does. Open connections are closed after their next answer.
   */
  retire(): void;
  /** Stops listening and closes open connections. */
  close(): Promise<void>;
}

/** What routes have beside the view. */
interface Kept {
  /** Undefined: no history is kept. */
  readonly history: HistorySampler | undefined;
  readonly wallNow: () => number;
}

/** One endpoint; `does` is its line in the answer to an unknown path. */
type Route = readonly [
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  does: string,
  answer: (view: SidecarView, query: URLSearchParams, kept: Kept) => Answer | Promise<Answer>,
];

const MAX_CONNECTIONS = 128;
/** A connection on which nothing moves is closed after this time, unless its request is being answered. */
const IDLE_LIMIT_MS = 90_000;
const MAX_HEADER_BYTES = 8192;

const ROUTES: readonly Route[] = [
  ['GET', '/', 'this sidecar as a page', page],
  ['GET', '/main', 'what of the page is new (?since)', update],
  ['GET', '/live', '200 while the process answers', live],
  ['GET', '/ready', '200 when ready, else 503 with the reasons', ready],
  ['GET', '/started', '200 once upstreams that count have been reached, else 503 with the reasons', started],
  ['GET', '/metrics', 'Prometheus metrics', metrics],
  ['GET', '/endpoints', 'state of endpoints, queue and model', (view) => json(statusOf(view))],
  ['GET', '/history', 'the last half hour (?since: slots after that one)', showHistory],
  ['GET', '/models', 'where each version of each model stands', (view) => json(view.lives())],
  ['GET', '/rollout', 'the rollout of this service', (view) => replied(showRollout(view.rollouts()))],
  [
    'POST',
    '/rollout',
    'begin one (?model, ?version, ?canary, ?window), or change it (?command: pause, resume, abort)',
    async (view, query) => replied(await changeRollout(view.rollouts(), query)),
  ],
  ['GET', '/config', 'configuration in force', (view) => json(view.config(), withoutSecrets)],
  [
    'GET',
    '/tap',
    'calls as they end, as server-sent events (?direction, ?service, ?method, ?model, ?status, ?reason, ?failed, ?slow, ?sample, ?rate)',
    tap,
  ],
  ['GET', '/faults', 'faults that are injected', faults(listFaults)],
  [
    'POST',
    '/faults',
    'inject one, for drills (?upstream or ?caller, ?abort, ?delay, ?ratio, ?method, ?for; ?process: kill or freeze a model process)',
    faults(addFault),
  ],
  ['DELETE', '/faults', 'stop them (?id: that one)', faults(clearFaults)],
  [
    'POST',
    '/drain',
    'finish what is in flight, take nothing new (?wait: answer when done); afterwards POST /takeover brings it back',
    drain,
  ],
  [
    'POST',
    '/takeover',
    'start a successor, which takes the listening sockets over; answers when it accepts',
    takeOver,
  ],
];

/**
 * Starts the admin server: plain HTTP over `view`, on loopback by default. Connections, headers and
 * times are bounded, and request bodies are discarded. Rejects with the system's error (EADDRINUSE,
 * EACCES …) when it cannot listen, and when the token's file holds none.
 */
export async function startAdmin(
  listen: Address,
  view: SidecarView,
  { sockets = new ListenSockets(), tokenFile, time }: AdminDeps = {},
): Promise<AdminServer> {
  const token = tokenFile === undefined ? undefined : AdminToken.open(tokenFile);
  const history = time && new HistorySampler(view, time.clock, time.timers);
  const kept = { history, wallNow: time === undefined ? () => 0 : () => time.clock.wallNow() };
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 30_000,
      connectionsCheckingInterval: 5_000,
    },
    (request, response) => void handle({ view, token, kept, server }, request, response),
  );
  new ConnectionPlaces(server, { all: MAX_CONNECTIONS, idleMs: IDLE_LIMIT_MS });
  const address = await sockets.listen(SOCKET_NAMES.admin, server, listen);
  server.on('error', () => {}); // a connection that could not be accepted
  history?.start();
  return {
    address,
    retire: () => sockets.close(server),
    close: () => {
      history?.stop();
      return close(server, sockets);
    },
  };
}

function close(server: Server, sockets: ListenSockets): Promise<void> {
  return new Promise((resolve) => {
    server.once('close', resolve);
    sockets.close(server);
    server.closeAllConnections();
  });
}

/** What the handling of each request needs. */
interface Serving {
  readonly view: SidecarView;
  readonly token: AdminToken | undefined;
  readonly kept: Kept;
  readonly server: Server;
}

async function handle(serving: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume(); // bodies are discarded; requestTimeout bounds them
  let answer: Answer;
  try {
    answer = await answerTo(serving, request);
    if (answer.stream !== undefined && request.method !== 'HEAD') {
      const refused = answer.stream(response);
      if (refused === undefined) return; // it is open until its reader goes
      answer = refused;
    }
  } catch {
    answer = text(500, 'the sidecar could not answer this\n');
  }
  const closes = serving.server.listening ? {} : { connection: 'close' };
  writeAnswer(request, response, { ...answer, headers: { ...closes, ...answer.headers } });
}

function answerTo({ view, token, kept }: Serving, request: IncomingMessage): Answer | Promise<Answer> {
  const method = request.method ?? 'GET';
  const refused = refusal(request);
  if (refused !== undefined) return text(403, `${refused}\n`);
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const routes = ROUTES.filter(([, has]) => has === path);
  if (routes.length === 0) return text(404, `not found; this server has:\n${listing()}`);
  const asked = method === 'HEAD' ? 'GET' : method;
  const route = routes.find(([takes]) => takes === asked);
  if (route === undefined) {
    const allow = routes.map(([takes]) => (takes === 'GET' ? 'GET, HEAD' : takes)).join(', ');
    return { ...text(405, `${path} takes ${allow}\n`), headers: { allow } };
  }
  const [takes, , , answer] = route;
  const unknown = takes === 'GET' ? undefined : token?.refusal(request.headers.authorization);
  if (unknown !== undefined)
    return { ...text(401, `${unknown}\n`), headers: { 'www-authenticate': 'Bearer realm="outrider"' } };
  return answer(view, new URLSearchParams(query), kept);
}

function listing(): string {
  return ROUTES.map(([method, path, does]) => `  ${method.padEnd(6)} ${path.padEnd(10)} ${does}\n`).join('');
}

/** 404 where none is kept, as a sidecar of an earlier version answers. */
function showHistory(_view: SidecarView, query: URLSearchParams, { history }: Kept): Answer {
  if (history === undefined) return text(404, 'this sidecar keeps no history\n');
  const since = Number(query.get('since') ?? -1);
  return Number.isSafeInteger(since)
    ? compact(history.report(since))
    : text(400, 'since: expected a number\n');
}

function tap(view: SidecarView, query: URLSearchParams): Answer {
  return {
    ...text(200, ''),
    stream: (response) => streamTap((options, sink) => view.openTap(options, sink), query, response),
  };
}

async function drain(view: SidecarView, query: URLSearchParams): Promise<Answer> {
  const drained = view.drain();
  if (!query.has('wait')) {
    drained.catch(() => {}); // the answer has been sent
    return text(202, 'draining\n');
  }
  await drained;
  return text(200, 'drained\n');
}

async function takeOver(view: SidecarView): Promise<Answer> {
  const answer = await view.takeOver();
  return answer.ok ? text(200, `process ${answer.pid} accepts\n`) : text(503, `${answer.why}\n`);
}

function faults(does: (admin: FaultAdmin, query: URLSearchParams) => Reply): Route[3] {
  return (view, query) => replied(does(view.faults(), query));
}

function replied({ status, body }: Reply): Answer {
  return typeof body === 'string' ? text(status, body) : { ...json(body), status };
}

/** The page is loaded by the first visit: without one a sidecar starts faster and needs less memory. */
async function page(view: SidecarView, _query: URLSearchParams, { history, wallNow }: Kept): Promise<Answer> {
  const { renderBody } = await import('./page.js');
  const { documentAnswer } = await import('./look/document.js');
  const report = statusOf(view);
  const body = renderBody(report, history, wallNow());
  return documentAnswer({ title: `${report.instance} · outrider`, body, forms: "'none'", kind: 'live' });
}

/** The content of the page anew, and what its charts lack. */
async function update(
  view: SidecarView,
  query: URLSearchParams,
  { history, wallNow }: Kept,
): Promise<Answer> {
  const { renderContent, sidecarSeries } = await import('./page.js');
  const { sinceOf, updateAnswer } = await import('./look/document.js');
  const report = statusOf(view);
  const html = renderContent(report, history, wallNow());
  return updateAnswer({ html, series: sidecarSeries(report, history, sinceOf(query)) });
}

/** Without line breaks: an answer that is large. */
function compact(value: unknown): Answer {
  return { ...json({}), body: `${JSON.stringify(value)}\n` };
}

function json(value: unknown, replace?: (this: object, name: string, value: unknown) => unknown): Answer {
  return {
    status: 200,
    type: 'application/json; charset=utf-8',
    body: `${JSON.stringify(value, replace, 2)}\n`,
  };
}

/**
 * Replaces secrets in `/config`: every value of a model's environment, every header for a collector, words of a command that follow
 * such a name (`--api-key KEY`), what follows the `?` of a URL, and fields with a secret name (`isSecretName`). `key` is secret only beside `cert`; elsewhere it is the name of a metadata
 * key.
 */
function withoutSecrets(this: object, name: string, value: unknown): unknown {
  if (name === 'key' && !('cert' in this)) return value;
  const isSecretMap = name === 'env' || (name === 'headers' && 'endpoint' in this);
  if (isSecretMap && typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.keys(value).map((key) => [key, REDACTED]));
  if (name === 'command' && Array.isArray(value)) return value.map(withoutSecretWord);
  if (typeof value !== 'string') return value;
  return isSecretName(name) ? REDACTED : value.replace(/^(https?:[^?]*\?).+/, `$1${REDACTED}`);
}

/** Names of options and variables whose value is secret; not `--max-tokens` or `--tokenizer`. */
const SECRET_OPTION = /(^|[-_])(token|secret|passw(or)?d|key|credentials?)$/i;

/** In `--api-key KEY`, `--api-key=KEY` and `API_KEY=KEY`. */
function withoutSecretWord(word: unknown, i: number, words: readonly unknown[]): unknown {
  if (typeof word !== 'string') return word;
  const before = words[i - 1];
  const isValue = typeof before === 'string' && before.startsWith('-') && SECRET_OPTION.test(before);
  if (isValue && !word.startsWith('-')) return REDACTED;
  const end = word.indexOf('=');
  return end > 0 && SECRET_OPTION.test(word.slice(0, end)) ? `${word.slice(0, end + 1)}${REDACTED}` : word;
}
