/**
 * Stands between sidecars and a Consul agent, and can lie in its name. What it has no lie about is the agent's own answer, blocking
 * queries included. A new lie reaches queries that wait: they are answered by it at once.
 */

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const HOST = '127.0.0.1';
/** Of a query for what the reader has been told already. A sidecar would ask for five minutes. */
const WAIT_MS = 10_000;
/** The catalogue, as callers read it. */
const INSTANCES = '/v1/health/';

/** What readers are told in the place of the truth. */
export type Lie =
  /** Every read ends with this status. */
  | { readonly kind: 'status'; readonly status: number }
  /** Reads of instances get none, and this index. */
  | { readonly kind: 'none'; readonly index: number }
  /** Reads of instances get the right ones, each with this port. */
  | { readonly kind: 'port'; readonly port: number };

/** One read that has no answer yet. */
interface Read {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly url: URL;
  readonly body: Buffer;
  /** Takes it off the agent. */
  withdraw(): void;
}

/** See above. */
export class ConsulProxy {
  private readonly reads = new Set<Read>();
  private lie: Lie | undefined;
  /** Counts lies: what a reader was told by an earlier one is news again. */
  private version = 0;

  private constructor(
    private readonly server: Server,
    private readonly agentPort: number,
  ) {
    server.on(
      'request',
      (incoming, outgoing) => void this.take(incoming, outgoing).catch(() => outgoing.destroy()),
    );
  }

  /** @param agentPort HTTP port of the agent on loopback, which need not run. */
  static async open(agentPort: number): Promise<ConsulProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    return new ConsulProxy(server, agentPort);
  }

  /** For sidecars, in the place of the agent's. */
  get url(): string {
    return `http://${HOST}:${(this.server.address() as AddressInfo).port}`;
  }

  /** Lies from now on; undefined: tells the truth. */
  tell(lie: Lie | undefined): void {
    this.lie = lie;
    this.version += 1;
    for (const read of [...this.reads]) {
      if (read.outgoing.headersSent) continue;
      read.withdraw();
      void this.answer(read);
    }
  }

  /** Cuts what is open. */
  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', `http://${HOST}:${this.agentPort}`);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const read: Read = { incoming, outgoing, url, body: Buffer.concat(chunks), withdraw() {} };
    this.reads.add(read);
    outgoing.once('close', () => {
      this.reads.delete(read);
      read.withdraw();
    });
    await this.answer(read);
  }

  private async answer(read: Read): Promise<void> {
    const { incoming, outgoing, url } = read;
    const { lie } = this;
    if (lie === undefined || incoming.method !== 'GET') return this.pass(read);
    if (lie.kind === 'status') return void outgoing.writeHead(lie.status).end('rpc error');
    if (!url.pathname.startsWith(INSTANCES)) return this.pass(read);
    const index = String(lie.kind === 'none' ? lie.index : 1_000_000 + this.version);
    // An agent holds what a reader knows already.
    if (url.searchParams.get('index') === index) {
      const timer = setTimeout(() => this.say(read, lie, index), WAIT_MS);
      read.withdraw = () => clearTimeout(timer);
      return;
    }
    this.say(read, lie, index);
  }

  private say(read: Read, lie: Exclude<Lie, { kind: 'status' }>, index: string): void {
    const head = {
      'content-type': 'application/json',
      'x-consul-index': index,
      'x-consul-knownleader': 'true',
    };
    if (lie.kind === 'none') return void read.outgoing.writeHead(200, head).end('[]');
    const upstream = this.ask(read, { afresh: true });
    upstream.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        read.outgoing.writeHead(200, head).end(withPort(Buffer.concat(chunks).toString(), lie.port)),
      );
      response.on('error', () => read.outgoing.destroy());
    });
  }

  private pass(read: Read): void {
    const { outgoing } = read;
    const upstream = this.ask(read, { afresh: false });
    upstream.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.on('error', () => outgoing.destroy()).pipe(outgoing);
    });
  }

  /** @param afresh the answer is not to be waited for. */
  private ask(read: Read, { afresh }: { readonly afresh: boolean }) {
    const { incoming, outgoing, body } = read;
    const url = new URL(read.url);
    // An index of a lie is none of the agent's: a query with it would wait for nothing.
    const isLied = Number(url.searchParams.get('index') ?? 0) >= 1_000_000;
    if (afresh || isLied) {
      url.searchParams.delete('index');
      url.searchParams.delete('wait');
    }
    const upstream = request(url, {
      method: incoming.method ?? 'GET',
      headers: incoming.headers,
      agent: false,
    });
    let isWithdrawn = false;
    read.withdraw = () => {
      isWithdrawn = true;
      upstream.destroy();
    };
    upstream.on('error', () => {
      if (!isWithdrawn) outgoing.destroy();
    });
    return upstream.end(body);
  }
}

/** The instances in an answer of `/v1/health/…`, all of them at another port. */
export function withPort(answer: string, port: number): string {
  const entries = JSON.parse(answer) as { Service: object }[];
  return JSON.stringify(entries.map((entry) => ({ ...entry, Service: { ...entry.Service, Port: port } })));
}
