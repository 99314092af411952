/**
 * The proxy that stands between a sidecar and its Consul agent, with the faults that a test sets, and what it was asked. When a fault is
 * over, what hung is forwarded. An agent that is down looks down from here: the connection is cut.
 */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { ConsulProxy, type HeldRequest, passOn } from '../../../sidecar/cli/chaos/faults/consul-proxy.js';

export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'status'; readonly status: number; readonly body?: string }
  /** 200 and an index, and a body that is no JSON. */
  | { readonly kind: 'garbage' }
  /** 200, and JSON of this size that never ends well. */
  | { readonly kind: 'bytes'; readonly bytes: number }
  /** No answer, for as long as it is set. */
  | { readonly kind: 'hang' }
  /** Every read is answered at once with the truth and an index of this kind. */
  | { readonly kind: 'index'; readonly index: 'rising' | 'falling' | 'zero' | 'absent' }
  /** Every connection is cut when it asks something. */
  | { readonly kind: 'drop' }
  /** Connections are refused. */
  | { readonly kind: 'refuse' };

export interface Seen {
  /** `performance.now()`. */
  readonly atMs: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const LEAF = '/v1/agent/connect/ca/leaf/';

export class FaultProxy {
  /** Every request so far. */
  readonly seen: Seen[] = [];
  private readonly proxy = new ConsulProxy({
    agent: this.agent,
    truth: (held) => this.pass(held, this.isMinting),
    onRequest: ({ method = '' }, { pathname: path, searchParams: query }) =>
      void this.seen.push({ atMs: performance.now(), method, path, query }),
  });
  private isRefusing = false;
  private isMinting = false;
  private token: string | undefined;
  private index = 1_000_000;

  private constructor(private readonly agent: { readonly address: string }) {}

  /** `agent.address` is `host:port` of an agent that speaks HTTP. */
  static async start(agent: { readonly address: string }): Promise<FaultProxy> {
    const proxy = new FaultProxy(agent);
    await proxy.proxy.listen();
    return proxy;
  }

  /** `host:port`, the same for its whole life. */
  get address(): string {
    return this.proxy.address;
  }

  get url(): string {
    return this.proxy.url;
  }

  /** Reads that hang now. */
  get waiting(): number {
    return this.proxy.waiting;
  }

  /** `applies`: paths (from `/v1` on) it is about; the others pass. Default all. */
  async set(fault: Fault, applies: (path: string) => boolean = () => true): Promise<void> {
    if (fault.kind === 'refuse') await this.proxy.close();
    else if (this.isRefusing) await this.proxy.listen();
    this.isRefusing = fault.kind === 'refuse';
    if (fault.kind === 'none') return this.proxy.set(undefined);
    this.proxy.set({
      answer: (held) => this.answer(held, fault),
      applies: ({ url }) => applies(url.pathname),
    });
  }

  /**
   * Makes the agent mint new leaf certificates, of which it keeps one for each token: from now on every request carries
   * another token than the client's. For agents that demand no token.
   */
  mintLeaves(): void {
    this.token = randomUUID();
    this.isMinting = true;
    this.proxy.again(({ url }) => url.pathname.startsWith(LEAF));
    this.isMinting = false;
  }

  /** Cuts every connection once. */
  cut(): void {
    this.proxy.cut();
  }

  /** Requests whose path starts with `prefix`. */
  count(prefix = ''): number {
    return this.seen.filter(({ path }) => path.startsWith(prefix)).length;
  }

  /** The most requests for such paths within any one second since `sinceMs` (of `performance.now()`). */
  busiestSecond(prefix = '', sinceMs = 0): number {
    const seen = this.seen.filter(({ path, atMs }) => path.startsWith(prefix) && atMs >= sinceMs);
    const times = seen.map(({ atMs }) => atMs);
    let most = 0;
    for (let first = 0, last = 0; last < times.length; last++) {
      while (times[last]! - times[first]! >= 1_000) first++;
      most = Math.max(most, last - first + 1);
    }
    return most;
  }

  stop(): Promise<void> {
    return this.proxy.close();
  }

  private pass(held: HeldRequest, afresh: boolean, index?: string): void {
    const headers = this.token === undefined ? {} : { 'x-consul-token': this.token };
    passOn(held, { afresh, headers }, index);
  }

  private answer(held: HeldRequest, fault: Exclude<Fault, { kind: 'none' }>): void {
    const { outgoing } = held;
    const say = (status: number, body: string | Buffer) =>
      outgoing.writeHead(status, { 'x-consul-index': String(++this.index) }).end(body);
    switch (fault.kind) {
      case 'index':
        return this.pass(held, true, this.nextIndex(fault.index));
      case 'status':
        return void say(fault.status, fault.body ?? 'spoiled on purpose');
      case 'garbage':
        return void say(200, '[{"Node": \u0000 <html>');
      case 'bytes':
        return pour(outgoing, fault.bytes);
      case 'hang':
        return;
      case 'drop':
      case 'refuse':
        return void outgoing.destroy();
    }
  }

  /** Empty: none at all. */
  private nextIndex(kind: 'rising' | 'falling' | 'zero' | 'absent'): string {
    if (kind === 'rising') return String(++this.index);
    if (kind === 'falling') return String(--this.index);
    return kind === 'zero' ? '0' : '';
  }
}

const PIECE = Buffer.alloc(65_536, 'x');

/** In pieces and as fast as they are taken, so that many of them at once cost nothing here. */
function pour(outgoing: ServerResponse, bytes: number): void {
  outgoing.writeHead(200, { 'x-consul-index': '1' });
  outgoing.write('["');
  let left = bytes - 2;
  const more = (): void => {
    while (left > 0) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
      left -= piece.length;
      if (outgoing.write(piece)) continue;
      // A reader as fast as we are would otherwise keep us from everything else.
      return void outgoing.once('drain', () => setImmediate(more));
    }
    outgoing.end();
  };
  more();
}

/** Whether a server accepts connections there. */
export async function isOpen(address: string): Promise<boolean> {
  const [host = '', port] = address.split(':');
  const socket = connect(Number(port), host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
