/**
 * Stands between sidecars and a Consul agent, and can lie in its name. What it has no lie about is the agent's own answer, blocking
 * queries included. A new lie reaches queries that wait: they are answered by it at once.
 */

import { ask, type HeldRequest, HttpBetween, hold, passOn } from './http-between.js';

/** Of a query for what the reader has been told already. A sidecar would ask for five minutes. */
const WAIT_MS = 10_000;
/** The catalogue, as callers read it. */
const INSTANCES = '/v1/health/';
/** From here on an index is one of a lie. */
const FIRST_LIED = 1_000_000;

/** What readers are told in the place of the truth. */
export type Lie =
  /** Every read ends with this status. */
  | { readonly kind: 'status'; readonly status: number }
  /** Reads of instances get none, and this index. */
  | { readonly kind: 'none'; readonly index: number }
  /** Reads of instances get the right ones, each with this port. */
  | { readonly kind: 'port'; readonly port: number };

export class ConsulProxy {
  private readonly between: HttpBetween;
  private lie: Lie | undefined;
  /** Counts lies: what a reader was told by an earlier one is news again. */
  private version = 0;

  private constructor(agentPort: number) {
    const behind = { address: `127.0.0.1:${agentPort}` };
    this.between = new HttpBetween({ behind, answer: (held) => this.answer(held) });
  }

  /** @param agentPort HTTP port of the agent on loopback, which need not run. */
  static async open(agentPort: number): Promise<ConsulProxy> {
    const proxy = new ConsulProxy(agentPort);
    await proxy.between.listen();
    return proxy;
  }

  get url(): string {
    return `http://${this.between.address}`;
  }

  /** Lies from now on; undefined: tells the truth. */
  tell(lie: Lie | undefined): void {
    this.lie = lie;
    this.version += 1;
    this.between.again();
  }

  close(): void {
    void this.between.close();
  }

  private answer(held: HeldRequest): void {
    const { incoming, outgoing, url } = held;
    const { lie } = this;
    const told = url.searchParams.get('index');
    // An index of a lie is none of the agent's: a query with it would wait for nothing.
    const truth = { afresh: Number(told ?? 0) >= FIRST_LIED };
    if (lie === undefined || incoming.method !== 'GET') return passOn(held, truth);
    if (lie.kind === 'status') return void outgoing.writeHead(lie.status).end('rpc error');
    if (!url.pathname.startsWith(INSTANCES)) return passOn(held, truth);
    const index = String(lie.kind === 'none' ? lie.index : FIRST_LIED + this.version);
    if (told === index) hold(held, WAIT_MS, () => say(held, lie, index));
    else say(held, lie, index);
  }
}

function say(held: HeldRequest, lie: Exclude<Lie, { kind: 'status' }>, index: string): void {
  const { outgoing } = held;
  const head = {
    'content-type': 'application/json',
    'x-consul-index': index,
    'x-consul-knownleader': 'true',
  };
  if (lie.kind === 'none') return void outgoing.writeHead(200, head).end('[]');
  ask(held, { afresh: true }).on('response', (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () =>
      outgoing.writeHead(200, head).end(withPort(Buffer.concat(chunks).toString(), lie.port)),
    );
    response.on('error', () => outgoing.destroy());
  });
}

/** The instances in an answer of `/v1/health/…`, all of them at another port. */
export function withPort(answer: string, port: number): string {
  const entries = JSON.parse(answer) as { Service: object }[];
  return JSON.stringify(entries.map((entry) => ({ ...entry, Service: { ...entry.Service, Port: port } })));
}
