/**
 * Stands between sidecars and a Consul agent, on loopback, and can answer in its name. What no fault is about is the agent's own answer,
 * blocking queries included. A fault reaches queries that wait: they are answered by it at once.
 */

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

/** Of a query for what the reader has been told already. A sidecar would ask for five minutes. */
const WAIT_MS = 10_000;
/** The catalogue, as callers read it. */
const INSTANCES = '/v1/health/';
/** From here on an index is one of a lie. */
const FIRST_LIED = 1_000_000;

/** A request that has no answer yet. */
export interface HeldRequest {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** As the agent is asked. */
  readonly url: URL;
  readonly body: Buffer;
  /** Takes it off the agent, without a word to the client. */
  withdraw(): void;
}

/** Answers a request that is here with its body: now or later, by `ask` or without the agent. */
export type Answer = (held: HeldRequest) => void;

/** What happens to requests in the place of the agent's answer. */
export interface ConsulFault {
  readonly answer: Answer;
  /** Which requests it is about; the others get the truth. Absent: all. */
  applies?(held: HeldRequest): boolean;
}

export interface ProxyPlan {
  /** `host:port` of the agent, which need not run. Read at each request. */
  readonly agent: { readonly address: string };
  /** How a request is answered that no fault is about. Default: as the agent answers it. */
  readonly truth?: Answer;
  onRequest?(incoming: IncomingMessage, url: URL): void;
}

/** A request ends at the agent when its client gives up. */
export class ConsulProxy {
  private readonly held = new Set<HeldRequest>();
  private readonly sockets = new Set<Socket>();
  private fault: ConsulFault | undefined;
  private server: Server | undefined;
  private port = 0;

  constructor(private readonly plan: ProxyPlan) {}

  static async open(plan: ProxyPlan): Promise<ConsulProxy> {
    const proxy = new ConsulProxy(plan);
    await proxy.listen();
    return proxy;
  }

  /** `host:port`, the same for its whole life. */
  get address(): string {
    return `${HOST}:${this.port}`;
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** Requests without an answer. */
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

  /** From now on; undefined: the truth again. */
  set(fault: ConsulFault | undefined): void {
    const before = this.fault;
    this.fault = fault;
    this.again((held) => isAbout(before, held) || isAbout(fault, held));
  }

  /** Answers anew what has no answer and `applies` to. */
  again(applies: (held: HeldRequest) => boolean): void {
    for (const held of [...this.held]) {
      if (held.outgoing.headersSent || !applies(held)) continue;
      held.withdraw();
      this.answer(held);
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

  private answer(held: HeldRequest): void {
    const { fault, plan } = this;
    if (isAbout(fault, held)) fault.answer(held);
    else (plan.truth ?? truth)(held);
  }

  private async take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', `http://${this.plan.agent.address}`);
    this.plan.onRequest?.(incoming, url);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const held: HeldRequest = { incoming, outgoing, url, body: Buffer.concat(chunks), withdraw() {} };
    this.held.add(held);
    outgoing.once('close', () => {
      this.held.delete(held);
      held.withdraw();
    });
    this.answer(held);
  }
}

function isAbout(fault: ConsulFault | undefined, held: HeldRequest): fault is ConsulFault {
  return fault !== undefined && (fault.applies?.(held) ?? true);
}

/** Answers with this index: at once, or after so long where the reader has it, as an agent does; unless it is answered anew before. */
export function answerAt(index: string, held: HeldRequest, answer: () => void, waitMs = WAIT_MS): void {
  if (held.url.searchParams.get('index') !== index) return answer();
  const timer = setTimeout(answer, waitMs);
  held.withdraw = () => clearTimeout(timer);
}

/** How the agent is asked. */
export interface Asking {
  /** A blocking query is not to wait: it is read from index 0 on, whatever the client has. */
  readonly afresh: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks the agent. Where it cannot be asked, the client's connection is cut. */
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

/** Passes the agent's answer on. @param index takes the place of Consul's; empty: there is none. */
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

/** An index of a lie is none of the agent's: a query with it would wait for nothing. */
function truth(held: HeldRequest): void {
  passOn(held, { afresh: Number(held.url.searchParams.get('index') ?? 0) >= FIRST_LIED });
}

function isRead({ incoming }: HeldRequest): boolean {
  return incoming.method === 'GET';
}

/** Every read ends with this status. */
export function readsFail(status: number): ConsulFault {
  return { applies: isRead, answer: ({ outgoing }) => void outgoing.writeHead(status).end('rpc error') };
}

/** Reads of instances get none, and this index. */
export function noInstances(index: number): ConsulFault {
  return lieAboutInstances(index, (_, say) => say('[]'));
}

/** Reads of instances get the right ones, each with this port. */
export function instancesAt(port: number): ConsulFault {
  return lieAboutInstances(FIRST_LIED + port, (held, say) => {
    ask(held, { afresh: true }).on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => say(withPort(Buffer.concat(chunks).toString(), port)));
      response.on('error', () => held.outgoing.destroy());
    });
  });
}

function lieAboutInstances(
  index: number,
  tell: (held: HeldRequest, say: (body: string) => void) => void,
): ConsulFault {
  const head = {
    'content-type': 'application/json',
    'x-consul-index': String(index),
    'x-consul-knownleader': 'true',
  };
  return {
    applies: (held) => isRead(held) && held.url.pathname.startsWith(INSTANCES),
    answer: (held) =>
      answerAt(String(index), held, () =>
        tell(held, (body) => void held.outgoing.writeHead(200, head).end(body)),
      ),
  };
}

/** The instances in an answer of `/v1/health/…`, all of them at another port. */
export function withPort(answer: string, port: number): string {
  const entries = JSON.parse(answer) as { Service: object }[];
  return JSON.stringify(entries.map((entry) => ({ ...entry, Service: { ...entry.Service, Port: port } })));
}
