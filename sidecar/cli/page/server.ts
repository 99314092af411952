import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Answer, pathOf, text, writeAnswer } from '../../admin/answers.js';
import { refusal } from '../../admin/guard.js';
import { ConnectionPlaces } from '../../admin/http-connection-places.js';
import { documentAnswer, sinceOf, updateAnswer } from '../../admin/look/document.js';
import type { Changed } from './change.js';
import type { MeshMoment } from './mesh-view.js';
import { pageSeries, renderBody, renderContent, renderRefused } from './render.js';

/** What the page reads and does. */
export interface PageDeps {
  moment(): MeshMoment;
  /** Asks a sidecar to drain, or to be taken over by a new process; resolves with what to say of it. */
  change(sidecar: string, what: 'drain' | 'undrain'): Promise<Changed>;
}

/** Where a page is served. */
export interface PagePlace {
  readonly host: string;
  readonly port: number;
  /** The first part of every path: who does not know it gets nothing. Absent: everybody gets the page. */
  readonly key?: string;
}

/** A page that is served. */
export interface PageServer {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

/**
 * Serves the mesh page over plain HTTP. It can drain sidecars, so it is for loopback, and it refuses what other sites make a browser
 * ask, as the admin port does. Where it may do more than other users of the machine it needs a key in its paths: every user of the machine reaches its
 * port, and a cookie would go to the other ports of the machine too. Rejects with the system's error when it cannot listen.
 */
export function servePage({ key, ...at }: PagePlace, deps: PageDeps): Promise<PageServer> {
  const root = key === undefined ? '/' : `/${key}/`;
  const limits = {
    maxHeaderSize: 8_192,
    headersTimeout: 5_000,
    requestTimeout: 10_000,
    connectionsCheckingInterval: 5_000,
  };
  const server = createServer(limits, (request, response) => void handle(root, deps, request, response));
  new ConnectionPlaces(server, { all: 64, idleMs: 90_000 });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      const { address: host, port } = server.address() as AddressInfo;
      const close = (): Promise<void> =>
        new Promise((closed) => {
          server.close(() => closed());
          server.closeAllConnections();
        });
      resolve({ address: { host, port }, close });
    });
  });
}

async function handle(
  root: string,
  deps: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume(); // bodies are discarded; requestTimeout bounds them
  const answer = await answerTo(root, deps, request).catch(() => text(500, 'this could not be answered\n'));
  writeAnswer(request, response, answer);
}

/** What a request gets: it is refused by where it comes from before its path is looked at. */
async function answerTo(root: string, deps: PageDeps, request: IncomingMessage): Promise<Answer> {
  const { method = 'GET', url = '/' } = request;
  const refused = refusal(request);
  if (refused !== undefined) return text(403, `${refused}\n`);
  const whole = pathOf(request);
  if (!beginsWith(whole, root)) return text(403, 'open the address that the page printed at its start\n');
  const path = whole.slice(root.length);
  const query = new URLSearchParams(url.slice(whole.length));
  if (path === 'main' && method === 'GET') return update(deps, query);
  if (path === '') return method === 'GET' || method === 'HEAD' ? page(deps) : wrongMethod('GET, HEAD');
  if (path !== 'drain' && path !== 'undrain') return text(404, 'not found\n');
  if (method !== 'POST') return wrongMethod('POST');
  // After a form was sent the browser asks for the page again (RFC 9110, 303), so that a reload sends nothing twice.
  const sidecar = query.get('sidecar') ?? '';
  const { ok, says } = await deps.change(sidecar, path);
  return ok ? { ...text(303, `${says}\n`), headers: { location: './' } } : refusedPage(says);
}

/** In a time that does not tell how much of it is right. */
function beginsWith(path: string, root: string): boolean {
  const [given, expected] = [Buffer.from(path.slice(0, root.length)), Buffer.from(root)];
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/**
 * RFC 9110, 405: it says which methods the path takes. A GET never drains, so that no link, image or prefetch
 * of a browser can.
 */
function wrongMethod(allow: string): Answer {
  return { ...text(405, `takes ${allow}\n`), headers: { allow } };
}

/** The whole page. */
function page(deps: PageDeps): Answer {
  const body = renderBody(deps.moment());
  return documentAnswer({ title: 'outrider mesh', body, forms: "'self'", kind: 'live' });
}

/** The content anew, and what the charts lack. */
function update(deps: PageDeps, query: URLSearchParams): Answer {
  const moment = deps.moment();
  return updateAnswer({ html: renderContent(moment), series: pageSeries(moment, sinceOf(query)) });
}

/** The browser shows it in place of the page, as the answer to the form: it says what to do, and leads back. */
function refusedPage(says: string): Answer {
  const body = renderRefused(says);
  return documentAnswer({ title: 'outrider mesh', body, status: 502, forms: "'self'", kind: 'still' });
}
