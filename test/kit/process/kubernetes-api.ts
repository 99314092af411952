/** A server that lists and watches EndpointSlices as the API of Kubernetes does, with faults that a test sets. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { freePort } from './free-port.js';

/** One endpoint of a slice, in short. */
export interface ApiEndpoint {
  readonly address: string;
  readonly pod?: string;
  readonly uid?: string;
  readonly zone?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
}

export interface ApiSlice {
  readonly addressType?: string;
  readonly ports?: readonly object[] | null;
  readonly endpoints: readonly ApiEndpoint[];
}

const NAMESPACE = 'models';
const SERVICE = 'digits';
const SLICES = `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`;
const SERVICES = `/api/v1/namespaces/${NAMESPACE}/services/`;

/** A slice of the Service `digits` as the API writes it. */
export function sliceJson(name: string, { addressType = 'IPv4', ports, endpoints }: ApiSlice, revision = 1) {
  return {
    metadata: {
      name,
      namespace: NAMESPACE,
      resourceVersion: String(revision),
      labels: { 'kubernetes.io/service-name': SERVICE },
    },
    addressType,
    ports: ports === undefined ? [{ name: 'peers', port: 9443, protocol: 'TCP' }] : ports,
    endpoints: endpoints.map(({ address, pod, uid = pod, zone, ready, serving, terminating }) => ({
      addresses: [address],
      conditions: { ready: ready ?? terminating !== true, serving: serving ?? true, terminating },
      ...(pod === undefined ? {} : { targetRef: { kind: 'Pod', namespace: NAMESPACE, name: pod, uid } }),
      ...(zone === undefined ? {} : { zone }),
    })),
  };
}

/** A `Status` as the API writes it. */
export function statusJson(code: number, message: string): string {
  return JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message });
}

interface Watching {
  readonly response: ServerResponse;
}

export class KubernetesApiServer {
  /** Tokens that are accepted; empty: all are. */
  tokens: string[] = [];
  /** What every request gets in place of an answer; `hang`: nothing. */
  fault: { readonly status: number; readonly message: string } | 'hang' | undefined;
  /** What a watch gets in place of events. */
  watchFault: 'expired' | 'end' | undefined;
  /** The Service; undefined: there is none. */
  service: object | undefined = { spec: { type: 'ClusterIP', selector: { app: SERVICE } } };
  /** Requests so far: `list`, `list more`, `watch REVISION`, `service`. */
  readonly asked: string[] = [];
  private readonly slices = new Map<string, ApiSlice>();
  private readonly watching = new Set<Watching>();
  private revision = 100;

  private constructor(
    private readonly server: Server,
    private readonly scheme: 'http' | 'https',
  ) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) =>
      this.answer(request, response),
    );
  }

  /** Listens on a free port of loopback. @param tls key and certificate; absent: in plaintext. */
  static async start(tls?: { readonly key: string; readonly cert: string }): Promise<KubernetesApiServer> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    const api = new KubernetesApiServer(server, tls === undefined ? 'http' : 'https');
    await api.listen(await freePort());
    return api;
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${this.port}`;
  }

  private port = 0;

  /** Listens again, after `stop`, where it was. */
  async listen(port = this.port): Promise<void> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = port;
  }

  /** Ends every connection and listens no more. */
  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    this.watching.clear();
    await closed;
  }

  /** Watches that are open. */
  get watches(): number {
    return this.watching.size;
  }

  /** Writes a slice, of which watches hear. */
  put(name: string, slice: ApiSlice): void {
    const type = this.slices.has(name) ? 'MODIFIED' : 'ADDED';
    this.slices.set(name, slice);
    this.revision += 1;
    this.send(`${JSON.stringify({ type, object: sliceJson(name, slice, this.revision) })}\n`);
  }

  delete(name: string): void {
    const slice = this.slices.get(name)!;
    this.slices.delete(name);
    this.revision += 1;
    this.send(`${JSON.stringify({ type: 'DELETED', object: sliceJson(name, slice, this.revision) })}\n`);
  }

  /** Writes a slice without telling anybody, as while a watch is not connected. */
  putQuietly(name: string, slice: ApiSlice): void {
    this.slices.set(name, slice);
    this.revision += 1;
  }

  /** To every watch, as it is: half a line, or no line at all. */
  send(text: string | Buffer): void {
    for (const { response } of this.watching) response.write(text);
  }

  /** Ends every watch: in order, or by breaking the connection. */
  endWatches(how: 'end' | 'break'): void {
    for (const { response } of this.watching) {
      if (how === 'end') response.end();
      else response.destroy();
    }
    this.watching.clear();
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://localhost');
    const query = url.searchParams;
    const isWatch = query.get('watch') === '1';
    const from = query.get('resourceVersion') ?? '';
    const more = query.get('continue');
    const isSlices = url.pathname === SLICES;
    this.asked.push(
      isSlices ? (isWatch ? `watch ${from}` : more === null ? 'list' : 'list more') : 'service',
    );
    if (this.fault === 'hang') return;
    const refuse = (code: number, message: string): void => {
      response.writeHead(code, { 'content-type': 'application/json' }).end(statusJson(code, message));
    };
    if (this.fault !== undefined) return refuse(this.fault.status, this.fault.message);
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    if (this.tokens.length > 0 && !this.tokens.includes(token)) return refuse(401, 'Unauthorized');
    if (url.pathname.startsWith(SERVICES)) {
      if (this.service === undefined) return refuse(404, 'services "digits" not found');
      response.end(JSON.stringify(this.service));
      return;
    }
    const isOurs = query.get('labelSelector') === `kubernetes.io/service-name=${SERVICE}`;
    if (!isSlices || !isOurs) return refuse(404, `found ${url.pathname}`);
    if (isWatch) this.watch(response);
    else this.list(response, Number(query.get('limit')), Number(more ?? 0));
  }

  private list(response: ServerResponse, limit: number, skip: number): void {
    const items = [...this.slices].slice(skip, skip + limit);
    const hasMore = skip + limit < this.slices.size;
    const metadata = {
      resourceVersion: String(this.revision),
      ...(hasMore ? { continue: String(skip + limit) } : {}),
    };
    const body = { metadata, items: items.map(([name, slice]) => sliceJson(name, slice, this.revision)) };
    response.end(JSON.stringify(body));
  }

  private watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (this.watchFault === 'end') return void response.end();
    if (this.watchFault === 'expired') {
      const object = JSON.parse(statusJson(410, 'too old resource version: 1 (100)')) as object;
      return void response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
    }
    const each = { response };
    this.watching.add(each);
    response.once('close', () => this.watching.delete(each));
  }
}
