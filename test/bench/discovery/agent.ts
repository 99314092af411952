/**
 * The Consul of the discovery benchmark: blocking queries about instances, with answers as a real one writes them.
 * A process of its own, so that writing 19 MB takes no time from the process that reads it.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { entryOf } from '../../kit/consul/answers.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import type { AgentCounts, AgentRequest } from './protocol.js';

const COMMA = Buffer.from(',');
const DEFAULT_WAIT_MS = 300_000;

class Service {
  private readonly entries: Buffer[];
  private readonly critical = new Set<number>();
  private waiting: (() => void)[] = [];
  private turn = 0;
  index: number;

  constructor(
    private readonly name: string,
    count: number,
    private readonly port: number,
    index: number,
  ) {
    this.index = index;
    this.entries = Array.from({ length: count }, (_, n) => this.encode(n));
  }

  change(index: number): void {
    const n = this.turn % this.entries.length;
    this.turn += 7;
    if (!this.critical.delete(n)) this.critical.add(n);
    this.entries[n] = this.encode(n);
    this.index = index;
    this.wake();
  }

  wake(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const answer of waiting) answer();
  }

  /** Calls `answer` when the index has moved beyond `index`, or after `waitMs`. */
  wait(index: number, waitMs: number, answer: () => void): void {
    if (this.index > index) return answer();
    const timer = setTimeout(answer, waitMs);
    this.waiting.push(() => {
      clearTimeout(timer);
      answer();
    });
  }

  body(): Buffer {
    const pieces: Buffer[] = [Buffer.from('[')];
    this.entries.forEach((entry, i) => {
      if (i > 0) pieces.push(COMMA);
      pieces.push(entry);
    });
    pieces.push(Buffer.from(']\n'));
    return Buffer.concat(pieces);
  }

  private encode(n: number): Buffer {
    const { name: service, port } = this;
    // Any address of 127.0.0.0/8 is this machine.
    const host = `127.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
    const status = this.critical.has(n) ? 'critical' : 'passing';
    const place = port === 0 ? {} : { host, port };
    return Buffer.from(JSON.stringify(entryOf(n, { service, status, ...place })));
  }
}

const services = new Map<string, Service>();
const counts = { requests: 0, bytes: 0, changes: 0 };
let lastIndex = 1;
let churn: NodeJS.Timeout | undefined;

function handle(request: IncomingMessage, response: ServerResponse): void {
  counts.requests += 1;
  const url = new URL(request.url ?? '/', 'http://consul');
  const match = /^\/v1\/health\/(?:connect|service)\/([^/]+)$/.exec(url.pathname);
  const service = services.get(decodeURIComponent(match?.[1] ?? ''));
  if (service === undefined) {
    response.writeHead(404, { 'x-consul-index': '1' }).end('not here\n');
    return;
  }
  const wait = /^(\d+)ms$/.exec(url.searchParams.get('wait') ?? '');
  service.wait(Number(url.searchParams.get('index') ?? 0), Number(wait?.[1] ?? DEFAULT_WAIT_MS), () => {
    if (response.destroyed) return;
    const body = service.body();
    counts.bytes += body.length;
    const head = { 'content-type': 'application/json', 'x-consul-index': String(service.index) };
    response.writeHead(200, { ...head, 'x-consul-knownleader': 'true', 'x-consul-lastcontact': '0' });
    response.write(body);
    response.end();
  });
}

function change(service: Service): void {
  lastIndex += 1;
  counts.changes += 1;
  service.change(lastIndex);
}

function obey(request: AgentRequest): AgentCounts {
  if (request.do === 'counts') return { ...counts };
  const service = services.get(request.service);
  if (request.do === 'set') {
    lastIndex += 1;
    services.set(request.service, new Service(request.service, request.count, request.port, lastIndex));
    service?.wake();
  } else if (service !== undefined && request.do === 'change') {
    change(service);
  } else if (service !== undefined && request.do === 'churn') {
    clearInterval(churn);
    if (request.perMinute > 0) churn = setInterval(() => change(service), 60_000 / request.perMinute);
  }
  return { ...counts };
}

const server = createServer(handle);
server.listen(0, '127.0.0.1', () => answerRequests(obey, (server.address() as AddressInfo).port));
