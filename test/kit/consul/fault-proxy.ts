/**
 * Stands between a sidecar and its Consul agent and injects the faults that the test sets, while both run.
 *
 * Blocking queries pass as they are, and end upstream when the client gives up. A fault that is set while queries hang
 * reaches those too: they are answered by it at once, so that no client waits for the agent's minutes. When a fault is over,
 * what hung is forwarded. An agent that is down looks down from here: the connection is cut.
 */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { type HeldRequest, HttpBetween, passOn } from '../../../sidecar/cli/chaos/faults/http-between.js';

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
  private readonly between: HttpBetween;
  private fault: Fault = { kind: 'none' };
  private applies: (path: string) => boolean = () => true;
  private token: string | undefined;
  private index = 1_000_000;

  private constructor(behind: { readonly address: string }) {
    this.between = new HttpBetween({
      behind,
      onRequest: ({ method = '' }, { pathname: path, searchParams: query }) =>
        void this.seen.push({ atMs: performance.now(), method, path, query }),
      answer: (held) => this.answer(held, false),
    });
  }

  /** `agent.address` is `host:port` of an agent that speaks HTTP. */
  static async start(agent: { readonly address: string }): Promise<FaultProxy> {
    const proxy = new FaultProxy(agent);
    await proxy.between.listen();
    return proxy;
  }

  /** `host:port`, the same for its whole life. */
  get address(): string {
    return this.between.address;
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** Reads that hang now. */
  get waiting(): number {
    return this.between.waiting;
  }

  /** `applies`: paths (from `/v1` on) it is about; the others pass. Default all. */
  async set(fault: Fault, applies: (path: string) => boolean = () => true): Promise<void> {
    const wasRefusing = this.fault.kind === 'refuse';
    this.fault = fault;
    this.applies = applies;
    if (fault.kind === 'refuse') return this.between.close();
    if (wasRefusing) await this.between.listen();
    this.between.again(({ url }) => this.applies(url.pathname) || fault.kind === 'none');
  }

  /**
   * Makes the agent mint new leaf certificates, of which it keeps one for each token: from now on every request carries
   * another token than the client's. For agents that demand no token.
   */
  mintLeaves(): void {
    this.token = randomUUID();
    this.between.again(
      ({ url }) => url.pathname.startsWith(LEAF),
      (held) => this.answer(held, true),
    );
  }

  /** Cuts every connection once. */
  cut(): void {
    this.between.cut();
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
    return this.between.close();
  }

  private answer(held: HeldRequest, afresh: boolean): void {
    const { outgoing, url } = held;
    const fault: Fault = this.applies(url.pathname) ? this.fault : { kind: 'none' };
    const headers = this.token === undefined ? {} : { 'x-consul-token': this.token };
    const say = (status: number, body: string | Buffer) =>
      outgoing.writeHead(status, { 'x-consul-index': String(++this.index) }).end(body);
    switch (fault.kind) {
      case 'none':
        return passOn(held, { afresh, headers });
      case 'index':
        return passOn(held, { afresh: true, headers }, this.nextIndex(fault.index));
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
