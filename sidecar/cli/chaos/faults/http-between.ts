import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

const HOST = '127.0.0.1';

/** A request that has no answer yet. */
export interface HeldRequest {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** As the server behind is asked. */
  readonly url: URL;
  readonly body: Buffer;
  /** Takes it off the server behind, without a word to the client. */
  withdraw(): void;
}

/** Where a server stands, and what it does with requests. */
export interface BetweenPlan {
  /** `host:port` of the server behind, which need not run. Read at each request. */
  readonly behind: { readonly address: string };
  onRequest?(incoming: IncomingMessage, url: URL): void;
  /** It is here with its body: answers it, now or later, by `ask` or without the server behind. */
  answer(held: HeldRequest): void;
}

/**
 * An HTTP server on loopback that stands before another one. A request that the server behind has not answered can be answered anew, so
 * that a fault reaches queries that wait. It ends at the server behind when its client gives up.
 */
export class HttpBetween {
  private readonly held = new Set<HeldRequest>();
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;
  private port = 0;

  constructor(private readonly plan: BetweenPlan) {}

  /** `host:port`, the same for its whole life. */
  get address(): string {
    return `${HOST}:${this.port}`;
  }

  get waiting(): number {
    return this.held.size;
  }

  async listen(): Promise<void> {
    const server = createServer(
      (incoming, outgoing) => void this.take(incoming, outgoing).catch(() => outgoing.destroy()),
    );
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.port, HOST, resolve);
    });
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Answers anew what has no answer: all of it, or what `applies` to. */
  again(applies: (held: HeldRequest) => boolean = () => true, answer = this.plan.answer): void {
    for (const held of [...this.held]) {
      if (held.outgoing.headersSent || !applies(held)) continue;
      held.withdraw();
      answer(held);
    }
  }

  /** Cuts every connection once. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Cuts what is open, and refuses connections until it listens again. */
  async close(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    this.cut();
    await closed;
  }

  private async take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', `http://${this.plan.behind.address}`);
    this.plan.onRequest?.(incoming, url);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const held: HeldRequest = { incoming, outgoing, url, body: Buffer.concat(chunks), withdraw() {} };
    this.held.add(held);
    outgoing.once('close', () => {
      this.held.delete(held);
      held.withdraw();
    });
    this.plan.answer(held);
  }
}

/** Answers after so long, as an agent does whose reader has what there is; unless it is answered anew or given up before. */
export function hold(held: HeldRequest, ms: number, answer: () => void): void {
  const timer = setTimeout(answer, ms);
  held.withdraw = () => clearTimeout(timer);
}

/** How the server behind is asked. */
export interface Asking {
  /** A blocking query is not to wait: it is read from index 0 on, whatever the client has. */
  readonly afresh: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks the server behind. Where it cannot be asked, the client's connection is cut. */
export function ask(held: HeldRequest, { afresh, headers = {} }: Asking): ClientRequest {
  const { incoming, outgoing, body } = held;
  const url = new URL(held.url);
  if (afresh) {
    url.searchParams.delete('index');
    url.searchParams.delete('wait');
  }
  const upstream = request(url, {
    method: incoming.method ?? 'GET',
    headers: { ...incoming.headers, ...headers },
    agent: false,
  });
  let isWithdrawn = false;
  held.withdraw = () => {
    isWithdrawn = true;
    upstream.destroy();
  };
  upstream.on('error', () => {
    if (!isWithdrawn) outgoing.destroy();
  });
  return upstream.end(body);
}

/** Passes the answer of the server behind on. @param index takes the place of Consul's; empty: there is none. */
export function passOn(held: HeldRequest, asking: Asking, index?: string): void {
  const { outgoing } = held;
  ask(held, asking).on('response', (response) => {
    const headers = { ...response.headers };
    if (index !== undefined) delete headers['x-consul-index'];
    if (index) headers['x-consul-index'] = index;
    outgoing.writeHead(response.statusCode ?? 502, headers);
    response.on('error', () => outgoing.destroy()).pipe(outgoing);
  });
}
